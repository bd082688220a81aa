"""Report folders on the same test set, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.evaluation.bootstrap import QUANTILES, macro_f1_of, resample
from stance.evaluation.report_folder import ReportError, read_metrics, read_predictions
from stance.pages.report import MIN_SLICE
from stance.pages.templates import markdown_template
from stance.schema import MissingExtraError
from stance.text.characters import visible

try:
    from scipy.stats import binomtest
except ImportError as error:
    raise MissingExtraError("a comparison", "train") from error

# Sentences that are listed of those that became right, and of those that became wrong.
LISTED = 10


@dataclass(frozen=True)
class Difference:
    """What one model's predictions gain over another's on the same sentences.

    Args:
        macro_f1: the second's macro-F1 over the stance labels less the first's.
        interval: its 95 % interval, by a paired bootstrap over documents.
        fixed: sentences that only the second has right.
        broken: sentences that only the first has right.
        p_value: of McNemar's exact test (1947), that both are right equally often.
    """

    macro_f1: float
    interval: tuple[float, float]
    fixed: int
    broken: int
    p_value: float


def difference(
    gold: Sequence[str], documents: Sequence[str], first: Mapping[str, Any], second: Mapping[str, Any]
) -> Difference:
    """Compare two sets of metrics on the same sentences.

    Args:
        gold: the true labels, n of them.
        documents: the sentences' documents, n of them.
        first: the contents of a `metrics.json`.
        second: likewise.
    """
    labels, stances = first["labels"], first["stance_labels"]
    truth = np.array([labels.index(label) for label in gold])
    predicted = [_label_numbers(metrics) for metrics in (first, second)]
    columns = [labels.index(label) for label in stances]
    resampled = resample(truth, predicted, documents, len(labels), second["seed"])
    before, after = (macro_f1_of(matrices, columns) for matrices in resampled)
    low, high = np.nanquantile(after - before, QUANTILES).tolist()
    right_before, right_after = (p == truth for p in predicted)
    fixed, broken = int((right_after & ~right_before).sum()), int((right_before & ~right_after).sum())
    p_value = float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0
    return Difference(second["macro_f1"] - first["macro_f1"], (low, high), fixed, broken, p_value)


def _label_numbers(metrics: Mapping[str, Any]) -> NDArray[np.int_]:
    return np.array(metrics["label_numbers"].split(), dtype=int)


def check_comparable(first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[object, object]) -> None:
    """Refuse metrics of different test sets.

    Args:
        first: the contents of a `metrics.json`.
        second: likewise.
        names: what the two are called, for the error.

    Raises:
        ReportError: if they are of different sentences or labels.
    """
    for key, what in (("data_sha256", "test sets"), ("labels", "labels"), ("stance_labels", "stance labels")):
        if first[key] != second[key]:
            raise ReportError(
                f"{names[0]} and {names[1]} are of different {what} ({_short(first[key])} and {_short(second[key])}): "
                "evaluate both models on the same data"
            )


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)


def compare(folders: Sequence[Path]) -> str:
    """Compare report folders with the first of them.

    Args:
        folders: at least two report folders.

    Returns:
        Markdown.

    Raises:
        ReportError: if a folder cannot be read, or they are of different test sets.
    """
    metrics = [read_metrics(folder) for folder in folders]
    for folder, other in zip(folders[1:], metrics[1:], strict=True):
        check_comparable(metrics[0], other, (folders[0], folder))
    predictions = [read_predictions(folder) for folder in folders]
    gold = [row["gold"] for row in predictions[0]]
    documents = [row["doc"] for row in predictions[0]]
    return markdown_template("compare.md.jinja").render(
        names=[str(folder) for folder in folders],
        metrics=metrics,
        differences=[difference(gold, documents, metrics[0], other) for other in metrics[1:]],
        slices=_slices(metrics),
        min_slice=MIN_SLICE,
        changes=[_changes(predictions[0], rows) for rows in predictions[1:]],
        listed=LISTED,
    )


def _slices(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, list[float]]]:
    """Name, sentences and each report's macro-F1 of the slices that say something, by the change in the second."""
    found = [
        (f"{column}: {value}", s["sentences"], [m["slices"][column][value]["macro_f1"] for m in metrics])
        for column, values in metrics[0]["slices"].items()
        for value, s in values.items()
        if s["sentences"] >= MIN_SLICE
        and s["macro_f1"] is not None
        and all(value in m["slices"].get(column, {}) for m in metrics)
    ]
    return sorted(found, key=lambda s: s[2][1] - s[2][0])


def _changes(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sentences that became right and wrong, those first of which the second model is surest."""
    changes: dict[str, list[dict[str, Any]]] = {"became right": [], "became wrong": []}
    for old, new in zip(before, after, strict=True):
        right = [row["label"] == row["gold"] for row in (old, new)]
        if right[0] != right[1]:
            changes["became right" if right[1] else "became wrong"].append(
                {
                    "text": visible(new["text"]),
                    "gold": new["gold"],
                    "before": old["label"],
                    "after": new["label"],
                    "confidence": new["probabilities"][new["label"]],
                }
            )
    return {name: sorted(rows, key=lambda row: -row["confidence"]) for name, rows in changes.items()}
