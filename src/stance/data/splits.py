"""The fixed train / validation / test split of the corpus."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stance.atomic import whole_file
from stance.data.corpus import SPLITS
from stance.data.duplicates import are_formulae, find_duplicates, find_shared_runs
from stance.schema import MissingExtraError

try:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("splitting the corpus", "train") from error

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
