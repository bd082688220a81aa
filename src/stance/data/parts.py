"""The parts of the project's labelled data, together: the corpus, real passages, five press articles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.data.articles import read_articles
from stance.data.corpus import SPLITS, split_corpus
from stance.data.labelled import Dataset, DatasetDict, label_names, make_datasets
from stance.data.real import read_real
from stance.data.rows import DataError
from stance.schema import TaskSpec

# The column that says which part a sentence is of.
PART = "part"


def load_parts(
    parts: Sequence[str],
    task: TaskSpec,
    *,
    corpus_dir: Path = Path("data/corpus"),
    splits: Path = Path("data/splits.json"),
    real_index: Path = Path("data/real/index.jsonl"),
    real_dir: Path | None = None,
    article_labels: Path = Path("data/articles/labels.jsonl"),
    articles_dir: Path | None = None,
    train_part: float = 1.0,
    seed: int = 1,
) -> DatasetDict:
    """Read parts of the labelled data as train, validation and test split, with a column `part`.

    Args:
        parts: one or more of `corpus`, `real` and `articles`, in the order wanted. Articles have a test split only.
        task: its labels are the valid ones.
        corpus_dir: see `split_corpus`; likewise `splits`, `train_part` and `seed`.
        splits: document name to split.
        real_index: see `read_real`; likewise `real_dir`.
        real_dir: folder of the real passages' text.
        article_labels: see `read_articles`; likewise `articles_dir`.
        articles_dir: folder of the articles' text.
        train_part: share of the corpus' training documents to keep.
        seed: governs which documents these are.

    Raises:
        DataError: if a part is not known or named twice, or cannot be used.
    """
    found: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    if not parts or len(set(parts)) < len(parts):
        raise DataError(f"data.parts must name one or more parts, each once, not {list(parts)}")
    for part in parts:
        if part == "corpus":
            rows = split_corpus(corpus_dir, splits, task, train_part=train_part, seed=seed)
        elif part == "real":
            rows = read_real(real_index, real_dir, task)
        elif part == "articles":
            rows = {"test": read_articles(article_labels, articles_dir, task)}
        else:
            raise DataError(f"data.parts names {part!r}; there are corpus, real and articles")
        for split, members in rows.items():
            found[split] += [{**row, PART: part} for row in members]
    return make_datasets({split: rows for split, rows in found.items() if rows}, task)


def parts_of(dataset: Dataset) -> list[str]:
    """Return the part of each row; empty strings for a user's own data."""
    return list(dataset[PART]) if PART in dataset.column_names else [""] * len(dataset)


def by_part(dataset: Dataset) -> dict[str, Dataset]:
    """Return the rows of each part, in the order of their first rows."""
    parts = parts_of(dataset)
    return {
        part: dataset.select([row for row, other in enumerate(parts) if other == part]) for part in dict.fromkeys(parts)
    }


def balance_parts(dataset: Dataset, stance_labels: Sequence[str]) -> NDArray[np.float64]:
    """Weigh the sentences so that the stance sentences of each part weigh the same in sum.

    What is chosen on validation (the best epoch, the calibration) then serves invented and real text alike, although
    one has many times the stances of the other.

    Args:
        dataset: labelled sentences.
        stance_labels: the labels that are stances.

    Returns:
        Shape (sentences,), with mean 1.
    """
    parts = parts_of(dataset)
    stances = Counter(part for part, label in zip(parts, label_names(dataset), strict=True) if label in stance_labels)
    weights = np.array([1 / max(1, stances[part]) for part in parts])
    balanced: NDArray[np.float64] = weights / weights.mean()
    return balanced
