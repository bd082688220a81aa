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
from stance.data.duplicates import are_formulae, find_duplicates
from stance.schema import MissingExtraError

try:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("splitting the corpus", "train") from error

FOLDS = 10
SPLIT_OF_FOLD = {0: "validation", 1: "test", 2: "test"}


def make_splits(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Split the corpus about 70 / 10 / 20 by document, stratified by file and label.

    Documents that share a sentence, or nearly, stay together (formulae of procedure do not count). Nothing is
    drawn by chance: the same corpus gives the same split.

    Args:
        rows: with `doc`, `text`, `label`, `file`; those of a document together.

    Returns:
        Split to the sorted names of its documents.
    """
    documents = sorted({row["doc"] for row in rows})
    number = {doc: i for i, doc in enumerate(documents)}
    doc_of_row = np.array([number[row["doc"]] for row in rows])
    linked = [
        (doc_of_row[i], doc_of_row[j])
        for i, j, _ in find_duplicates([row["text"] for row in rows])
        if not are_formulae(rows[i], rows[j])
    ]
    ends = np.array(linked, dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(documents),) * 2)
    _, group_of_doc = connected_components(graph, directed=False)

    strata = [f"{row['file']} {row['label']}" for row in rows]
    split_of_doc: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a stratum with fewer members than folds
        folds = list(StratifiedGroupKFold(FOLDS).split(rows, strata, group_of_doc[doc_of_row]))
    for fold, (_, members) in enumerate(folds):
        for row in members:
            split_of_doc[rows[row]["doc"]] = SPLIT_OF_FOLD.get(fold, "train")
    return {split: [doc for doc in documents if split_of_doc[doc] == split] for split in SPLITS}


def write_splits(splits: Mapping[str, Sequence[str]], file: Path) -> None:
    """Write the split as JSON, one document a line."""
    with whole_file(file) as stream:
        stream.write(json.dumps(splits, indent=1, ensure_ascii=False) + "\n")
