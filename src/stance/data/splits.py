"""Splits into train, validation and test: the fixed one of the corpus, and the tenth that is held out of other data."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from stance.atomic import whole_file
from stance.data.duplicates import are_formulae, find_duplicates, find_shared_runs
from stance.data.rows import DataError
from stance.schema import MissingExtraError

try:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("splitting the corpus", "train") from error

SPLITS = ("train", "validation", "test")
VALIDATION_PART = 10
FOLDS = 10
SPLIT_OF_FOLD = {0: "validation", 1: "test", 2: "test"}


def make_splits(rows: Sequence[Mapping[str, Any]], kept: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Split the corpus about 70 / 10 / 20 by document, stratified by file and label.

    Documents stay together if they share a sentence, or nearly (except formulae of procedure), or a run of twelve
    words. Nothing is drawn by chance: the same corpus and the same earlier splits give the same splits.

    Args:
        rows: with `doc`, `text`, `label`, `file`; those of a document together.
        kept: document to split, for documents that were split before. They stay where they are, and documents linked
            to them follow. If linked documents are in different splits, all of them move to train, the only split that
            a model may have seen.

    Returns:
        Split to the sorted names of its documents.
    """
    documents = sorted({row["doc"] for row in rows})
    number = {doc: i for i, doc in enumerate(documents)}
    texts = [row["text"] for row in rows]
    links = [(i, j) for i, j, _ in find_duplicates(texts) if not are_formulae(rows[i], rows[j])]
    links += find_shared_runs(texts)
    ends = np.array([(number[rows[i]["doc"]], number[rows[j]["doc"]]) for i, j in links], dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(documents),) * 2)
    _, group_of_doc = connected_components(graph, directed=False)

    splits_of_group: dict[int, set[str]] = {}
    for doc, split in (kept or {}).items():
        if doc in number:  # else it has been taken out of the corpus
            splits_of_group.setdefault(int(group_of_doc[number[doc]]), set()).add(split)
    split_of_doc: dict[str, str] = {}
    for doc, group in zip(documents, group_of_doc.tolist(), strict=True):
        if found := splits_of_group.get(group):
            split_of_doc[doc] = next(iter(found)) if len(found) == 1 else "train"
    new = [row for row in rows if row["doc"] not in split_of_doc]
    if new:
        strata = [f"{row['file']} {row['label']}" for row in new]
        groups = [group_of_doc[number[row["doc"]]] for row in new]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a stratum with fewer members than folds
            folds = list(StratifiedGroupKFold(FOLDS).split(new, strata, groups))
        for fold, (_, members) in enumerate(folds):
            for row in members:
                split_of_doc[new[row]["doc"]] = SPLIT_OF_FOLD.get(fold, "train")
    return {split: [doc for doc in documents if split_of_doc[doc] == split] for split in SPLITS}


def write_splits(splits: Mapping[str, Sequence[str]], file: Path) -> None:
    """Write the split as JSON, one document a line."""
    with whole_file(file) as stream:
        stream.write(json.dumps(splits, indent=1, ensure_ascii=False) + "\n")


def read_splits(file: Path, documents: Set[str] | None = None) -> dict[str, str]:
    """Read which split each document is in.

    Args:
        file: as `stance data split` writes it.
        documents: the documents that the file must list, no more and no less. None skips this check.

    Returns:
        Document name to split.

    Raises:
        DataError: if the file is missing, is no such mapping, or lists other documents.
    """
    try:
        splits = json.loads(file.read_text(encoding="utf-8"))
        pairs = [(doc, split) for split in SPLITS for doc in splits[split]]
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a document is listed twice")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): run `stance data split`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} does not list the documents of {', '.join(SPLITS)} ({error!r})") from None
    odd = sorted(documents ^ dict(pairs).keys()) if documents is not None else []
    if odd:
        raise DataError(
            f"{file} and the corpus differ in {len(odd)} document(s), such as {odd[0]}: run `stance data split`"
        )
    return dict(pairs)


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


def refuse_shared_documents(documents: Mapping[str, Sequence[str]]) -> None:
    """Make sure that no document is in two splits.

    Args:
        documents: split to the document of each of its sentences.

    Raises:
        DataError: if one is.
    """
    split_of: dict[str, str] = {}
    for split, names in documents.items():
        for doc in dict.fromkeys(names):
            if doc in split_of:
                raise DataError(
                    f"document {doc!r} is in both {split_of[doc]} and {split}: scores would be too good; "
                    "keep each document in one split"
                )
            split_of[doc] = split
