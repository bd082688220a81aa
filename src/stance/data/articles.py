"""Stand-off labels of five press articles, whose text belongs to their publishers and is not in the repository."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from stance.data.labelled import with_context
from stance.data.rows import DataError, Field, read_checked
from stance.schema import TaskSpec


def articles_folder() -> Path:
    """Where the articles' text files are if no folder is named: `$STANCE_ARTICLES`, else `data/articles/text`."""
    return Path(os.environ.get("STANCE_ARTICLES") or "data/articles/text")


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
    texts: dict[tuple[str, str], str] = {}

    def sentence(values: dict[str, Any]) -> str:
        key = (values["file"], values["sha256"])
        if key not in texts:
            texts[key] = _read_article(folder / values["file"], values["sha256"])
        start, end = int(values["start"]), int(values["end"])
        # Line breaks within a sentence are the page's, not the sentence's.
        return " ".join(texts[key][start:end].split()) if end <= len(texts[key]) else ""

    def why_no_text(values: dict[str, Any]) -> str | None:
        return None if sentence(values) else f"no text from {values['start']} to {values['end']} in {values['file']}"

    rows: list[dict[str, Any]] = []
    for row in read_checked(labels_file, fields(task), why_no_text):
        kept = {column: row.values[column] for column in ("start", "end", "label", "label_2", "holder")}
        place = sum(other["doc"] == row.values["file"] for other in rows) + 1
        rows.append({"doc": row.values["file"], "sent": place, "text": sentence(row.values), **kept})
    return with_context(rows)


def fields(task: TaskSpec) -> dict[str, Field]:
    """Return what a line of the articles' labels must hold."""
    labels = dict.fromkeys(("label", "label_2"), Field(one_of=task.labels))
    return {"file": Field(), "sha256": Field(), "start": Field(int), "end": Field(int), **labels, "holder": Field()}


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
