"""Labelled sentences as a `datasets.DatasetDict` with declared features, checked before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stance.data.rows import BadRow, DataError, Row, no_column, read_file
from stance.schema import MissingExtraError, Sentence, TaskSpec
from stance.text import letters

try:
    from datasets import ClassLabel, Features, Value
    from datasets import Dataset as Dataset
    from datasets import DatasetDict as DatasetDict
    from datasets import concatenate_datasets as concatenate_datasets
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("labelled data", "train") from error

# Columns with a meaning and a type; any other column is kept, as text, for slices.
LABEL_COLUMNS = ("label", "label_1", "label_2")
TEXT_COLUMNS = ("text", "doc", "context", "holder", "target", *LABEL_COLUMNS[1:])
NUMBER_COLUMNS = ("sent", "start", "end")
VALIDATION_PART = 10


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
    good: list[Row] = []
    bad: list[tuple[Path, BadRow]] = []
    for row in read_file(file):
        if isinstance(row, Row):
            values = dict(row.values)
            reason = _rename(values, text_column, "text") or _rename(values, label_column, "label")
            reason = reason or _why_bad(values, task)
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


def _why_bad(values: Mapping[str, Any], task: TaskSpec) -> str | None:
    for column in TEXT_COLUMNS:
        value = values.get(column)
        if value is not None and not isinstance(value, str):
            return f"{column!r} must be a string, not {type(value).__name__}"
    if not (values["text"] or "").strip():
        return "'text' is empty"
    for column in LABEL_COLUMNS:
        if (values.get(column) or column == "label") and (reason := why_bad_label(values, column, task)):
            return reason
    for column in NUMBER_COLUMNS:
        value = values.get(column)
        if value not in (None, "") and not (str(value).isascii() and str(value).isdigit() and len(str(value)) < 10):
            return f"{column!r} must be a whole number, not {value!r}"
    return None


def why_bad_label(values: Mapping[str, Any], column: str, task: TaskSpec) -> str | None:
    """Why the label in a column is none of the task, or None."""
    label = values.get(column)
    return None if label in task.labels else f"{column!r} is {label!r}, not one of {', '.join(task.labels)}"


def make_datasets(splits: Mapping[str, Sequence[Mapping[str, Any]]], task: TaskSpec) -> DatasetDict:
    """Rows with at least `text`, `label` and `doc` as datasets with declared features, the same in every split.

    A column in which every value is true, false or missing is boolean; columns without a meaning of their
    own are text, empty where a row lacks them.

    Args:
        splits: split to rows.
        task: its labels are the names of the label column's classes, in order.
    """
    rows = [row for members in splits.values() for row in members]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, list[Any]] = {}
    features: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name in LABEL_COLUMNS:
            features[name] = ClassLabel(names=list(task.labels))
            columns[name] = [value or None for value in values]
        elif name in NUMBER_COLUMNS:
            features[name] = Value("int32")
            columns[name] = [-1 if value in (None, "") else int(value) for value in values]
        elif {type(value) for value in values} - {type(None)} == {bool}:
            features[name] = Value("bool")
            columns[name] = [bool(value) for value in values]
        else:
            features[name] = Value("string")
            columns[name] = ["" if value is None else _as_text(value) for value in values]
    pooled = Dataset.from_dict(columns, features=Features(features))
    datasets, start = {}, 0
    for split, members in splits.items():
        datasets[split] = pooled.select(range(start, start + len(members)))
        start += len(members)
    return DatasetDict(datasets)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def load_files(
    files: Mapping[str, Path | None],
    task: TaskSpec,
    *,
    seed: int,
    text_column: str = "text",
    label_column: str = "label",
) -> DatasetDict:
    """Read a user's own labelled files.

    Rows without a `doc` are documents of their own; rows with `doc` and `sent` and without `context` get the sentences
    before them as context. If there is training data and no validation file, a tenth
    of the training documents, with the labels in proportion, becomes the validation split.

    Args:
        files: split (`train`, `validation`, `test`) to CSV or JSONL file, or None.
        task: its labels are the valid ones.
        seed: governs which documents become the validation split.
        text_column: the column that holds the sentence.
        label_column: the column that holds the label.

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
    _refuse_shared_documents(splits)
    if "train" in splits and "validation" not in splits:
        train = splits["train"]
        kept, held_out = hold_out([row["label"] for row in train], [row["doc"] for row in train], seed=seed)
        splits["train"], splits["validation"] = [train[i] for i in kept], [train[i] for i in held_out]
    return make_datasets(splits, task)


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


def hold_out(labels: Sequence[str], documents: Sequence[str], *, seed: int) -> tuple[list[int], list[int]]:
    """Set a tenth of the documents aside for validation, with the labels in proportion.

    Args:
        labels: each row's label.
        documents: each row's document.
        seed: governs which documents.

    Returns:
        The numbers of the rows that are kept, and of those set aside.

    Raises:
        DataError: if there are too few documents.
    """
    folds = min(VALIDATION_PART, len(set(documents)), max(labels.count(label) for label in set(labels)))
    if folds < 2:
        raise DataError(
            "the training data are too small to set a validation part aside by document; give data.validation=FILE"
        )
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, documents)
    kept, held_out = next(iter(split))
    return kept.tolist(), held_out.tolist()


def _refuse_shared_files(files: Mapping[str, Path | None]) -> None:
    split_of: dict[Path, str] = {}
    for split, file in files.items():
        if file and (other := split_of.setdefault(file.resolve(), split)) != split:
            raise DataError(f"{file} is named for both {other} and {split}: scores would be too good")


def _refuse_shared_documents(splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    split_of: dict[str, str] = {}
    for split, rows in splits.items():
        for doc in {row["doc"] for row in rows}:
            if doc in split_of:
                raise DataError(
                    f"document {doc!r} is in both {split_of[doc]} and {split}: scores would be too good; "
                    "keep each document in one split"
                )
            split_of[doc] = split


def pick_split(dataset: DatasetDict, split: str) -> Dataset:
    """One split.

    Raises:
        DataError: if there is no such split.
    """
    if split not in dataset:
        raise DataError(f"there is no split {split!r} in these data, only {', '.join(dataset)}")
    return dataset[split]


def label_names(dataset: Dataset) -> list[str]:
    """The labels of a dataset, as words."""
    names = dataset.features["label"].names
    return [names[i] for i in dataset["label"]]


def sentences(dataset: Dataset) -> list[Sentence]:
    """The sentences of a dataset, with their context and holder where it has any."""
    contexts, holders = (
        dataset[name] if name in dataset.column_names else [""] * len(dataset) for name in ("context", "holder")
    )
    return [
        Sentence(text, context, doc, holder=holder or "")
        for text, context, doc, holder in zip(dataset["text"], contexts, dataset["doc"], holders, strict=True)
    ]


def fingerprint(dataset: Dataset) -> str:
    """Return a SHA-256 over documents, letters and digits of the texts, and labels, in order.

    Equal data have equal fingerprints wherever they lie. Punctuation and white space do not count: the text of real
    passages has them as its source happens to have them.
    """
    digest = hashlib.sha256()
    for doc, text, label in zip(dataset["doc"], dataset["text"], label_names(dataset), strict=True):
        digest.update(json.dumps((doc, letters(text), label), ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()
