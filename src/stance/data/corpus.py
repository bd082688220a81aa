"""The labelled corpus of the repository, in its fixed splits."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from stance.data.labelled import read_labelled, with_context
from stance.data.rows import BadRow, DataError
from stance.data.splits import SPLITS, read_splits
from stance.schema import TaskSpec

# A document of this file is a group of variants of one sentence; they are not one another's context.
CONTRAST_SETS = "contrast_sets"
# Files whose names begin so hold documents that retell real pages in other words.
RETOLD = "retold_"


def read_corpus(folder: Path, task: TaskSpec) -> list[dict[str, Any]]:
    """Every row of the corpus, by file name and in reading order, with `file`, `origin` and `context` added.

    `origin` is `retold` or `invented`; `context` is the sentences before it in the document, one a line.

    Raises:
        DataError: if the folder holds no corpus, or a row is bad; lists the bad rows of all files.
    """
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise DataError(
            f"there is no corpus in {folder.absolute()}: run in the repository, or give data.corpus_dir=DIR"
        )
    found: list[dict[str, Any]] = []
    bad: list[tuple[Path, BadRow]] = []
    for file in files:
        rows, bad_rows = read_labelled(file, task)
        bad += bad_rows
        bad += [(file, BadRow(r.line, "no 'doc'", r.values)) for r in rows if not r.values.get("doc")]
        origin = "retold" if file.stem.startswith(RETOLD) else "invented"
        values = [{**row.values, "file": file.stem, "origin": origin} for row in rows if row.values.get("doc")]
        for row in values:
            row |= {flag: bool(row.get(flag)) for flag in ("mixed", "implicit")}
        found += [{**row, "context": ""} for row in values] if file.stem == CONTRAST_SETS else with_context(values)
    if bad:
        raise DataError.of_rows(bad)
    return found


def split_corpus(
    folder: Path, splits_file: Path, task: TaskSpec, *, train_part: float = 1.0, seed: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """Read the rows of the corpus, by split.

    Args:
        folder: the folder of the corpus' JSONL files.
        splits_file: document name to split, as `stance data split` writes it.
        task: its labels are the valid ones.
        train_part: share of the training documents to keep, above 0 to 1, for trials and learning curves.
        seed: governs which documents these are.

    Raises:
        DataError: if a row is bad, the splits are not those of this corpus, or there is no such part.
    """
    if not 0 < train_part <= 1:
        raise DataError(f"data.train_part must be above 0 and at most 1, not {train_part}")
    rows = read_corpus(folder, task)
    split_of = read_splits(splits_file, {row["doc"] for row in rows})
    train = sorted(doc for doc, split in split_of.items() if split == "train")
    random.Random(seed).shuffle(train)
    for doc in train[math.ceil(train_part * len(train)) :]:
        split_of[doc] = "left out"
    return {split: [r for r in rows if split_of[r["doc"]] == split] for split in SPLITS}
