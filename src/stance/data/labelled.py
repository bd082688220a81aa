"""Labelled data: one record for every source of them, checked where they enter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.data.rows import BadRow, DataError, Field, Row, no_column, read_file, why_unfit
from stance.data.splits import hold_out, refuse_shared_documents
from stance.schema import LabelledSentences, Sentence, TaskSpec
from stance.text.characters import letters

# Columns with a meaning. Any other column is kept for slices.
TEXT_COLUMNS = ("text", "doc", "context", "holder", "target")
LABEL_COLUMNS = ("label", "label_1", "label_2")
NUMBER_COLUMNS = ("sent", "start", "end")
# A column with more values than this names sentences, not slices.
MAX_SLICES = 100
LENGTH_BINS = ((1, 10), (11, 20), (21, 30), (31, 40), (41, None))


@dataclass(frozen=True)
class LabelledData:
    """Labelled sentences of one split.

    Args:
        task: the labels.
        rows: the sentences, each with at least `text`, `label` and `doc`, and the same columns in all rows.
    """

    task: TaskSpec
    rows: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], task: TaskSpec) -> LabelledData:
        """Give all rows the same columns.

        A column in which every value is true, false or missing is boolean. Numbers are -1 where a row lacks them; text
        is empty.

        Args:
            rows: sentences with at least `text`, `label` and `doc`, checked by `labelled_fields`.
            task: the labels.
        """
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: _column(name, [row.get(name) for row in rows]) for name in names}
        return cls(task, tuple(dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.rows[0]) if self.rows else []

    def column(self, name: str) -> list[Any]:
        """Values of a column, one per sentence; None where there is no such column."""
        return [row.get(name) for row in self.rows]

    @cached_property
    def sentences(self) -> list[Sentence]:
        """The sentences, with their context and holder where the rows have them."""
        return [
            Sentence(row["text"], row.get("context") or "", row["doc"], holder=row.get("holder") or "")
            for row in self.rows
        ]

    @cached_property
    def labels(self) -> list[str]:
        """The gold label of each sentence."""
        return [row["label"] for row in self.rows]

    @cached_property
    def label_numbers(self) -> NDArray[np.int_]:
        """The place of each gold label in `task.labels`, shape (sentences,)."""
        number = {label: i for i, label in enumerate(self.task.labels)}
        return np.array([number[label] for label in self.labels], dtype=int)

    @cached_property
    def documents(self) -> list[str]:
        """The document of each sentence."""
        return [row["doc"] for row in self.rows]

    @cached_property
    def parts(self) -> list[str]:
        """The part of the project's data that each sentence is of; empty strings for a user's own data."""
        return [row.get("part") or "" for row in self.rows]

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 over documents, letters and digits of the texts, and labels, in order.

        Equal data have equal fingerprints wherever they lie. Punctuation and white space do not count: the text of real
        passages has them as its source happens to have them.
        """
        digest = hashlib.sha256()
        for row in self.rows:
            line = (row["doc"], letters(row["text"]), row["label"])
            digest.update(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()

    @cached_property
    def slices(self) -> dict[str, list[str]]:
        """Column name to each sentence's value, for the columns that part the sentences into few slices.

        The first is the sentence's length in white-space separated words.
        """
        found = {"sentence length": [length_slice(row["text"]) for row in self.rows]}
        for name in self.columns:
            if name in (*TEXT_COLUMNS, *LABEL_COLUMNS, *NUMBER_COLUMNS):
                continue
            values = ["yes" if v is True else "no" if v is False else v or "(empty)" for v in self.column(name)]
            if 1 < len(set(values)) <= MAX_SLICES:
                found[name] = values
        return found

    def select(self, numbers: Iterable[int]) -> LabelledData:
        """Return the rows of these numbers, in the order given."""
        return LabelledData(self.task, tuple(self.rows[number] for number in numbers))

    def where(self, name: str, value: Any) -> LabelledData:
        """Return the rows that have a value in a column."""
        return LabelledData(self.task, tuple(row for row in self.rows if row.get(name) == value))

    def by_part(self) -> dict[str, LabelledData]:
        """Return the rows of each part, in the order of their first rows."""
        return {part: self.select(np.flatnonzero(np.array(self.parts) == part)) for part in dict.fromkeys(self.parts)}

    def without_context(self) -> LabelledData:
        """Return the same sentences, each standing alone."""
        return LabelledData(self.task, tuple({**row, "context": ""} for row in self.rows))

    def joined(self, other: LabelledData) -> LabelledData:
        """Return these sentences and then the other's."""
        return LabelledData.of([*self.rows, *other.rows], self.task)

    def balanced(self) -> LabelledSentences:
        """Weigh the sentences so that the stance sentences of each part weigh the same in sum; the mean weight is 1.

        What is chosen on validation (the best epoch, the calibration) then serves invented and real text alike,
        although one has many times the stances of the other.
        """
        stances = {part: len(rows.stances()) for part, rows in self.by_part().items()}
        weights = np.array([1 / max(1, stances[part]) for part in self.parts])
        return LabelledSentences(self.sentences, self.label_numbers.tolist(), (weights / weights.mean()).tolist())

    def weighted(self, real_weight: float) -> LabelledSentences:
        """Weigh the real passages' sentences with `real_weight`, and all others with 1."""
        weights = [real_weight if part == "real" else 1.0 for part in self.parts]
        return LabelledSentences(self.sentences, self.label_numbers.tolist(), weights)

    def stances(self) -> list[Sentence]:
        """The sentences that take a stance."""
        pairs = zip(self.sentences, self.labels, strict=True)
        return [sentence for sentence, label in pairs if label in self.task.stance_labels]


def _column(name: str, values: list[Any]) -> list[Any]:
    """The values of a column, all of one type."""
    if name in NUMBER_COLUMNS:
        return [-1 if value in (None, "") else int(value) for value in values]
    if name not in LABEL_COLUMNS and {type(value) for value in values} - {type(None)} == {bool}:
        return [bool(value) for value in values]
    return ["" if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]


def length_slice(text: str) -> str:
    """Return the sentence-length slice of a text, in white-space separated words."""
    words = len(text.split())
    least, most = next((least, most) for least, most in LENGTH_BINS if most is None or words <= most)
    return f"{least:02d}+ words" if most is None else f"{least:02d}-{most} words"


def labelled_fields(task: TaskSpec) -> dict[str, Field]:
    """Return what the columns of labelled rows must hold."""
    optional_text = Field(required=False)
    optional_label = Field(required=False, one_of=task.labels)
    return {
        "text": Field(may_be_blank=False),
        "label": Field(one_of=task.labels),
        **dict.fromkeys(TEXT_COLUMNS[1:], optional_text),
        **dict.fromkeys(LABEL_COLUMNS[1:], optional_label),
        **dict.fromkeys(NUMBER_COLUMNS, Field(int, required=False)),
    }


def read_labelled(
    file: Path,
    task: TaskSpec,
    *,
    text_column: str = "text",
    label_column: str = "label",
) -> tuple[list[Row], list[tuple[Path, BadRow]]]:
    """Read a labelled file, and tell its usable rows from the others.

    Args:
        file: CSV or JSONL.
        task: its labels are the valid ones.
        text_column: the column that holds the sentence; it is renamed to `text`.
        label_column: the column that holds the label; it is renamed to `label`.

    Returns:
        The usable rows, and file and reason of each other row.

    Raises:
        DataError: if the file cannot be read at all.
    """
    fields = labelled_fields(task)
    good: list[Row] = []
    bad: list[tuple[Path, BadRow]] = []
    for row in read_file(file):
        if isinstance(row, Row):
            values = dict(row.values)
            reason = _rename(values, text_column, "text") or _rename(values, label_column, "label")
            reason = reason or why_unfit(values, fields)
            if not reason:
                good.append(Row(row.line, values))
                continue
            row = BadRow(row.line, reason, row.values)
        bad.append((file, row))
    return good, bad


def _rename(values: dict[str, Any], column: str, name: str) -> str | None:
    if column not in values:
        return no_column(column, values)
    if column != name and name in values:
        return f"has both a column {column!r} and a column {name!r}; rename the latter"
    values[name] = values.pop(column)
    return None


def load_files(
    files: Mapping[str, Path | None],
    task: TaskSpec,
    *,
    seed: int,
    text_column: str = "text",
    label_column: str = "label",
) -> dict[str, LabelledData]:
    """Read a user's own labelled files.

    Rows without a `doc` are documents of their own. Rows with `doc` and `sent` and without `context` get the sentences
    before them as context. If there is training data and no validation file, a tenth of the training documents, with
    the labels in proportion, becomes the validation split.

    Args:
        files: split (`train`, `validation`, `test`) to CSV or JSONL file, or None.
        task: its labels are the valid ones.
        seed: governs which documents become the validation split.
        text_column: the column that holds the sentence.
        label_column: the column that holds the label.

    Returns:
        Split to its sentences.

    Raises:
        DataError: if a file cannot be read or has a bad row; lists the bad rows of all files.
    """
    _refuse_shared_files(files)
    splits: dict[str, list[dict[str, Any]]] = {}
    bad: list[tuple[Path, BadRow]] = []
    for split, file in files.items():
        if file is None:
            continue
        rows, bad_rows = read_labelled(file, task, text_column=text_column, label_column=label_column)
        bad += bad_rows
        if not rows and not bad_rows:
            raise DataError(f"{file} holds no rows")
        values = with_context([row.values for row in rows])
        splits[split] = [
            {**v, "doc": v.get("doc") or f"{split}:{row.line}"} for v, row in zip(values, rows, strict=True)
        ]
    if bad:
        raise DataError.of_rows(bad)
    if not splits:
        raise DataError("no labelled file was named; give data.train=FILE, data.validation=FILE or data.test=FILE")
    refuse_shared_documents({split: [row["doc"] for row in rows] for split, rows in splits.items()})
    if "train" in splits and "validation" not in splits:
        train = splits["train"]
        kept, held_out = hold_out([row["label"] for row in train], [row["doc"] for row in train], seed=seed)
        splits["train"], splits["validation"] = [train[i] for i in kept], [train[i] for i in held_out]
    return {split: LabelledData.of(rows, task) for split, rows in splits.items()}


def with_context(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each row that has `doc` and `sent`, and no `context`, the rows of its document before it, a line each."""
    before: dict[str, list[str]] = {}
    result = []
    for row in rows:
        if row.get("doc") and row.get("sent") not in (None, "") and row.get("context") is None:
            context = before.setdefault(row["doc"], [])
            result.append({**row, "context": "\n".join(context)})
            context.append(row["text"])
        else:
            result.append(row)
    return result


def _refuse_shared_files(files: Mapping[str, Path | None]) -> None:
    split_of: dict[Path, str] = {}
    for split, file in files.items():
        if file and (other := split_of.setdefault(file.resolve(), split)) != split:
            raise DataError(f"{file} is named for both {other} and {split}: scores would be too good")


def pick_split(data: Mapping[str, LabelledData], split: str) -> LabelledData:
    """Return one split.

    Raises:
        DataError: if there is no such split.
    """
    if split not in data:
        raise DataError(f"there is no split {split!r} in these data, only {', '.join(data)}")
    return data[split]
