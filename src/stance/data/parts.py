"""The parts of the project's labelled data, together: the corpus, real passages, five press articles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stance.data.articles import read_articles
from stance.data.corpus import split_corpus
from stance.data.labelled import LabelledData
from stance.data.real import read_real
from stance.data.rows import DataError
from stance.data.splits import SPLITS
from stance.schema import TaskSpec


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
) -> dict[str, LabelledData]:
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
            found[split] += [{**row, "part": part} for row in members]
    return {split: LabelledData.of(rows, task) for split, rows in found.items() if rows}
