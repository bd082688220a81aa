"""Stand-off labels of real passages, whose text belongs to others and is not in the repository."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stance.data.labelled import with_context
from stance.data.rows import BadRow, DataError, Field, read_checked, read_file
from stance.schema import TaskSpec
from stance.text.characters import letters

log = logging.getLogger(__name__)

# The files of a folder of real text. The fourth part of the index, `pool`, has no labels.
PARTS = ("train", "validation", "test")
POOL = "pool"
# Below this share of its sentences, a test part is not reported.
COMPLETE = 0.98
# Hexadecimal digits that the index keeps of a SHA-256.
DIGITS = 16
FETCH_HINT = "fetch it with `stance data fetch`, or give data.real_dir=DIR or $STANCE_REAL"


@dataclass(frozen=True)
class IndexedSentence:
    """One sentence of the index.

    Args:
        sent: place in the passage, from 1.
        start: number of letters and digits of the decoded source before the sentence.
        length: letters and digits of the sentence.
        sha256: first 16 hexadecimal digits of the SHA-256 of these letters.
        labels: `label`, `label_1`, `label_2` and `holder`; empty in the pool.
    """

    sent: int
    start: int
    length: int
    sha256: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Passage:
    """A contiguous passage of a public source.

    Args:
        doc: name of the passage.
        part: `train`, `validation`, `test` or `pool`.
        repo: owner and name of the GitHub repository that holds the source.
        path: the source's path there.
        commit: where it was read.
        decode: how its text is made of the file, see `stance.data.fetch.decode`.
        about: `source`, `register`, `year` and `country`.
        sentences: its sentences, in order.
    """

    doc: str
    part: str
    repo: str
    path: str
    commit: str
    decode: str
    about: dict[str, str]
    sentences: tuple[IndexedSentence, ...]


def real_folder() -> Path:
    """Return the folder of the real text if none is named: `$STANCE_REAL`, else `data/real/text`."""
    return Path(os.environ.get("STANCE_REAL") or "data/real/text")


def letters_sha256(text: str) -> str:
    """Return the first `DIGITS` hexadecimal digits of the SHA-256 of a text's letters and digits."""
    return hashlib.sha256(letters(text).encode()).hexdigest()[:DIGITS]


def read_index(file: Path) -> list[Passage]:
    """Read the index of the real passages.

    Args:
        file: JSONL, a passage a line; the columns of its sentences are lists of one length.

    Raises:
        DataError: if the file cannot be read, or a line is no passage; lists the bad lines.
    """
    passages: list[Passage] = []
    bad: list[tuple[Path, BadRow]] = []
    for row in read_file(file):
        if isinstance(row, BadRow):
            bad.append((file, row))
            continue
        try:
            passages.append(_passage(row.values))
        except (KeyError, TypeError, ValueError) as error:
            bad.append((file, BadRow(row.line, f"not a passage ({error!r})", row.values)))
    if bad:
        raise DataError.of_rows(bad)
    if not passages:
        raise DataError(f"{file} holds no passages")
    return passages


def _passage(values: Mapping[str, Any]) -> Passage:
    count = len(values["sent"])
    settled = values.get("label", [])
    # Lists that the index leaves out: both annotators gave the settled label, or nobody holds a stance.
    columns = {
        "label": settled,
        "label_1": values.get("label_1", settled),
        "label_2": values.get("label_2", settled),
        "holder": values.get("holder", [""] * len(settled)),
    }
    labels = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [{}] * count
    places = zip(values["sent"], values["start"], values["length"], values["sha256"], labels, strict=True)
    sentences = tuple(IndexedSentence(int(s), int(b), int(n), str(h), found) for s, b, n, h, found in places)
    about = {name: str(values[name]) for name in ("source", "register", "year", "country") if name in values}
    if values["part"] not in (*PARTS, POOL):
        raise ValueError(f"part {values['part']!r}")
    names = ("doc", "part", "repo", "path", "commit", "decode")
    return Passage(**{name: str(values[name]) for name in names}, about=about, sentences=sentences)


def read_real(index: Path, folder: Path | None, task: TaskSpec) -> dict[str, list[dict[str, Any]]]:
    """Read the labelled sentences of the real passages.

    Labels come from the index, texts from the folder. Only a sentence whose letters have the SHA-256 of the index is
    used. An incomplete part is logged; an incomplete test part is left out.

    Args:
        index: see `read_index`.
        folder: holds `train.jsonl`, `validation.jsonl` and `test.jsonl` with `doc`, `sent` and `text`. None stands for
            `real_folder()`.
        task: its labels are the valid ones.

    Returns:
        Split to rows, with the sentences before each one in its passage as `context`.

    Raises:
        DataError: if the text is missing or a label is not one of the task's.
    """
    folder = folder or real_folder()
    passages = [passage for passage in read_index(index) if passage.part != POOL]
    label = Field(one_of=task.labels)
    for passage in passages:
        for sentence in passage.sentences:
            if reason := label.why_unfit("label", sentence.labels):
                raise DataError(f"{index}: {passage.doc}: {reason}")
    splits: dict[str, list[dict[str, Any]]] = {}
    for part in PARTS:
        texts = read_texts(folder / f"{part}.jsonl")
        rows = [row for passage in passages if passage.part == part for row in _rows(passage, texts)]
        wanted = sum(len(passage.sentences) for passage in passages if passage.part == part)
        if len(rows) < wanted:
            kept = part != "test" or len(rows) >= COMPLETE * wanted
            log.warning(
                "%s: %s of %s sentences of the %s part are there as they were labelled%s",
                folder,
                f"{len(rows):,}",
                f"{wanted:,}",
                part,
                "" if kept else f"; {COMPLETE:.0%} are needed to report on it: the part is left out",
            )
            if not kept:
                continue
        splits[part] = with_context(rows)
    return splits


def read_texts(file: Path) -> dict[tuple[str, int], str]:
    """Read the sentences of a file of real text, by passage and place.

    Raises:
        DataError: if the file cannot be read or is empty, or a line lacks `doc`, `sent` or `text`.
    """
    if not file.is_file():
        raise DataError(f"the text of the real passages is missing ({file}): {FETCH_HINT}")
    fields = {"doc": Field(), "sent": Field(int), "text": Field()}
    return {(row.values["doc"], int(row.values["sent"])): row.values["text"] for row in read_checked(file, fields)}


def _rows(passage: Passage, texts: Mapping[tuple[str, int], str]) -> Iterator[dict[str, Any]]:
    """The sentences of a passage whose text is at hand and is what was labelled."""
    for sentence in passage.sentences:
        text = texts.get((passage.doc, sentence.sent), "")
        if letters_sha256(text) == sentence.sha256:
            text = " ".join(text.split())
            yield {"doc": passage.doc, "sent": sentence.sent, "text": text, **sentence.labels, **passage.about}
