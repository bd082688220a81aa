"""Stand-off labels of five press articles, whose text belongs to their publishers and is not in the repository."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from stance.data.labelled import DatasetDict, make_datasets, why_bad_label
from stance.data.rows import BadRow, DataError, read_file
from stance.schema import TaskSpec


def articles_folder() -> Path:
    """Where the articles' text files are if no folder is named: `$STANCE_ARTICLES`, else `data/articles/text`."""
    return Path(os.environ.get("STANCE_ARTICLES") or "data/articles/text")


def load_articles(labels_file: Path, folder: Path | None, task: TaskSpec) -> DatasetDict:
    """Read the articles as a test split; see `read_articles`."""
    return make_datasets({"test": read_articles(labels_file, folder, task)}, task)


def read_articles(labels_file: Path, folder: Path | None, task: TaskSpec) -> list[dict[str, Any]]:
    """Read the labelled sentences of the articles.

    Args:
        labels_file: JSONL with `file`, `sha256`, `start`, `end` (characters), `label`, `label_2`, `holder`.
        folder: where the articles' text files are; without one, see `articles_folder`.
        task: its labels are the valid ones.

    Raises:
        DataError: if an article is missing or is not the text that was labelled, or a label row is bad.
    """
    folder = folder or articles_folder()
    rows: list[dict[str, Any]] = []
    bad: list[tuple[Path, BadRow]] = []
    texts: dict[tuple[str, str], str] = {}
    before: dict[str, list[str]] = {}
    for row in read_file(labels_file):
        if isinstance(row, BadRow):
            bad.append((labels_file, row))
            continue
        values = row.values
        reason = _why_bad(values, task)
        if reason:
            bad.append((labels_file, BadRow(row.line, reason, values)))
            continue
        name, start, end = values["file"], values["start"], values["end"]
        key = (name, values["sha256"])
        if key not in texts:
            texts[key] = _read_article(folder / name, values["sha256"])
        # Line breaks within a sentence are the page's, not the sentence's.
        text = " ".join(texts[key][start:end].split()) if 0 <= start < end <= len(texts[key]) else ""
        if not text:
            bad.append((labels_file, BadRow(row.line, f"no text from {start} to {end} in {name}", values)))
            continue
        context = before.setdefault(name, [])
        rows.append(
            {
                "doc": name,
                "sent": len(context) + 1,
                "text": text,
                "context": "\n".join(context),
                **{column: values[column] for column in ("start", "end", "label", "label_2", "holder")},
            }
        )
        context.append(text)
    if bad:
        raise DataError.of_rows(bad)
    if not rows:
        raise DataError(f"{labels_file} holds no rows")
    return rows


def _why_bad(values: dict[str, Any], task: TaskSpec) -> str | None:
    types = {
        "file": str,
        "sha256": str,
        "start": int,
        "end": int,
        "label": str,
        "label_2": str,
        "holder": str,
    }
    for name, type_ in types.items():
        if not isinstance(values.get(name), type_):
            return f"{name!r} must be {type_.__name__}, not {values.get(name)!r}"
    for name in ("label", "label_2"):
        if reason := why_bad_label(values, name, task):
            return reason
    return None


def _read_article(file: Path, sha256: str) -> str:
    where = "give data.articles_dir=DIR, or set $STANCE_ARTICLES to the folder that holds it"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"article {file} cannot be read ({error.strerror}); the articles' text is not part of the "
            f"repository: {where}"
        ) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"article {file} is not the text that was labelled (its SHA-256 should begin with {sha256[:12]}): "
            f"restore the original file, or {where}"
        )
    return content.decode("utf-8")
