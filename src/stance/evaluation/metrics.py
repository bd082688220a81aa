"""Metrics of a classifier's probabilities against gold labels, with document-bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.evaluation.bootstrap import (
    BOOTSTRAP_SAMPLES,
    QUANTILES,
    accuracy_of,
    interval,
    macro_f1_of,
    resample,
)
from stance.schema import MissingExtraError, TaskSpec
from stance.text.names import token_f1

try:
    from sklearn.metrics import (
        brier_score_loss,
        confusion_matrix,
        f1_score,
        precision_recall_fscore_support,
    )
except ImportError as error:
    raise MissingExtraError("metrics", "train") from error

CALIBRATION_BINS = 15
# The confidences below which a reader may want to leave a sentence to a human.
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
HEADLINES = ("macro_f1", "accuracy", "ece", "brier")


def compute_metrics(
    gold: Sequence[str],
    probabilities: NDArray[np.float64],
    documents: Sequence[str],
    *,
    task: TaskSpec,
    seed: int,
    slices: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Every figure of the report.

    Args:
        gold: the true labels, n of them.
        probabilities: shape (n, labels), columns in the order of `task.labels`.
        documents: the sentences' documents, n of them.
        task: the labels.
        seed: governs the bootstrap.
        slices: column name to its n values; each value becomes a slice with its own figures.

    Returns:
        JSON-ready figures: `macro_f1` (over the stance labels), `macro_f1_interval` (95 %), `macro_f1_all` (over
        all labels), `accuracy` and `accuracy_interval`, `brier`, `ece`, `reliability` (what `ece` is made of),
        `selective` (what is left, and how right it is, where the least confident are left to a human),
        `takes_a_stance` (see the function of that name), `per_class`,
        `confusion_matrix` (rows gold, columns predicted, in label order), `slices`, the counts, and
        `label_numbers` (the numbers of the predicted labels, for `stance.evaluation.compare`).

    Raises:
        ValueError: if there is nothing to score.
    """
    if not len(gold):
        raise ValueError("there are no sentences to score")
    labels = list(task.labels)
    index = {label: i for i, label in enumerate(labels)}
    truth = np.array([index[label] for label in gold])
    predicted = probabilities.argmax(axis=1)
    stance = [index[label] for label in task.stance_labels]
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=range(len(labels)), zero_division=0.0
    )
    matrix = confusion_matrix(truth, predicted, labels=range(len(labels)))
    resampled = resample(truth, [predicted], documents, len(labels), seed)[0]
    return {
        "sentences": len(truth),
        "documents": len(set(documents)),
        "labels": labels,
        "stance_labels": list(task.stance_labels),
        "macro_f1": float(f1[stance].mean()),
        "macro_f1_interval": interval(macro_f1_of(resampled, stance)),
        "macro_f1_all": float(f1.mean()),
        "accuracy": float((truth == predicted).mean()),
        "accuracy_interval": interval(accuracy_of(resampled)),
        "brier": float(brier_score_loss(truth, probabilities, labels=range(len(labels)), scale_by_half=False)),
        "ece": expected_calibration_error(truth, probabilities),
        "reliability": reliability(truth, probabilities),
        "selective": selective(truth, probabilities, stance),
        "takes_a_stance": takes_a_stance(truth, probabilities, resampled, stance),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "f1_interval": interval(macro_f1_of(resampled, [i])),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion_matrix": matrix.tolist(),
        "slices": {
            column: _slices(truth, predicted, np.asarray(values), np.asarray(documents), len(labels), stance, seed)
            for column, values in (slices or {}).items()
        },
        "label_numbers": " ".join(map(str, predicted.tolist())),
    }


def expected_calibration_error(
    truth: NDArray[np.int_], probabilities: NDArray[np.float64], bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by their counts.

    As in Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    Args:
        truth: the true label's column, shape (n,).
        probabilities: shape (n, labels).
        bins: how many bins.
    """
    table = reliability(truth, probabilities, bins)
    return float(sum(b["sentences"] * abs(b["accuracy"] - b["confidence"]) for b in table) / len(truth))


def reliability(
    truth: NDArray[np.int_], probabilities: NDArray[np.float64], bins: int = CALIBRATION_BINS
) -> list[dict[str, Any]]:
    """Accuracy against mean confidence, for each of the equal-width bins of confidence that holds a sentence.

    Args:
        truth: the true label's column, shape (n,).
        probabilities: shape (n, labels).
        bins: how many bins.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "from": number / bins,
            "to": (number + 1) / bins,
            "sentences": int(chosen.sum()),
            "confidence": float(confidence[chosen].mean()),
            "accuracy": float(correct[chosen].mean()),
        }
        for number in range(bins)
        if (chosen := bin_of == number).any()
    ]


def selective(
    truth: NDArray[np.int_], probabilities: NDArray[np.float64], stance: Sequence[int]
) -> list[dict[str, Any]]:
    """What is left at each of `THRESHOLDS` of confidence, and how right it is; figures are None where nothing is.

    Args:
        truth: the true label's column, shape (n,).
        probabilities: shape (n, labels).
        stance: the columns of the stance labels.
    """
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    table = []
    for threshold in THRESHOLDS:
        kept = confidence >= threshold
        f1 = (
            f1_score(truth[kept], predicted[kept], labels=stance, average="macro", zero_division=0.0)
            if kept.any()
            else None
        )
        table.append(
            {
                "min_confidence": threshold,
                "coverage": float(kept.mean()),
                "accuracy": float((truth == predicted)[kept].mean()) if kept.any() else None,
                "macro_f1": None if f1 is None else float(f1),
            }
        )
    return table


def takes_a_stance(
    truth: NDArray[np.int_], probabilities: NDArray[np.float64], resampled: NDArray[np.float64], stance: Sequence[int]
) -> dict[str, Any]:
    """How well sentences that take any stance are told from those that take none.

    Args:
        truth: the true label's column, shape (n,).
        probabilities: shape (n, labels).
        resampled: bootstrap samples of the confusion matrix, see `resample`.
        stance: the columns of the stance labels.

    Returns:
        `precision`, `recall` and `f1` with `f1_interval`; `false_per_1000`, the sentences taken for a stance among
        1,000 that take none, with `false_per_1000_interval` (both None where every sentence takes one); and `ece`, the
        calibration error over the sentences that the model takes for a stance (None where there are none).
    """
    predicted = probabilities.argmax(axis=1)
    whole = confusion_matrix(truth, predicted, labels=range(probabilities.shape[1]))[None]

    def figures(matrices: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        """Precision, recall, F1 and false share of confusion matrices of shape (samples, labels, labels)."""
        found = matrices[:, :, stance].sum(axis=2)  # predicted as a stance, shape (samples, gold labels)
        hits, taken, wanted = found[:, stance].sum(axis=1), found.sum(axis=1), matrices[:, stance].sum(axis=(1, 2))
        without = matrices.sum(axis=(1, 2)) - wanted
        false = taken - hits
        return tuple(
            np.divide(part, total, out=np.full(len(matrices), np.nan), where=total > 0)
            for part, total in ((hits, taken), (hits, wanted), (2 * hits, taken + wanted), (false, without))
        )

    precision, recall, f1, false = (float(np.nan_to_num(figure[0])) for figure in figures(whole))
    *_, f1_samples, false_samples = figures(resampled)
    chosen = np.isin(predicted, stance)
    any_without = not np.isin(truth, stance).all()
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "f1_interval": interval(f1_samples),
        "false_per_1000": 1000 * false if any_without else None,
        "false_per_1000_interval": [1000 * end for end in interval(false_samples)] if any_without else None,
        "ece": expected_calibration_error(truth[chosen], probabilities[chosen]) if chosen.any() else None,
    }


def holder_metrics(
    gold: Sequence[str], found: Sequence[str | None], documents: Sequence[str], *, seed: int
) -> dict[str, Any]:
    """How well holders are found, on the sentences that have one.

    Args:
        gold: the holders as annotated, n of them; empty where there is none.
        found: the holders that a model names; None, which is never right, where it sees no stance.
        documents: the sentences' documents.
        seed: governs the bootstrap.

    Returns:
        `sentences` with a holder; the mean overlap in words, `token_f1`, with its 95 % interval by document; `exact`,
        the share whose words are the same but for case and articles; and these figures over the sentences of them in
        which the model sees a stance, as `where_found`.
    """
    rows = [row for row, holder in enumerate(gold) if holder]
    overlap = np.array([token_f1(found[row] or "", gold[row]) for row in rows])
    seen = np.array([found[row] is not None for row in rows])
    _, doc = np.unique([documents[row] for row in rows], return_inverse=True)
    sums, counts = np.bincount(doc, weights=overlap), np.bincount(doc)
    draws = np.random.default_rng(seed).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), size=BOOTSTRAP_SAMPLES
    )

    def figures(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        some = overlap[chosen]
        share = {"token_f1": float(some.mean()), "exact": float((some == 1).mean())} if len(some) else {}
        return {"sentences": len(some), **share}

    return {
        **figures(np.ones(len(rows), dtype=bool)),
        "token_f1_interval": np.quantile((draws @ sums) / (draws @ counts), QUANTILES).tolist(),
        "where_found": figures(seen),
    }


def spread(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation of the headline figures over folds or seeds, at least two."""
    return {
        statistic: {name: float(compute([r[name] for r in results])) for name in HEADLINES}
        for statistic, compute in (
            ("mean", np.mean),
            ("standard_deviation", lambda values: np.std(values, ddof=1)),
        )
    }


def _slices(
    truth: NDArray[np.int_],
    predicted: NDArray[np.int_],
    values: NDArray[Any],
    documents: NDArray[Any],
    classes: int,
    stance: Sequence[int],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Figures per value; macro-F1 over the stance labels that the slice's gold has, None if it has none."""
    result = {}
    for value in sorted(set(values.tolist())):
        chosen = values == value
        gold, found = truth[chosen], predicted[chosen]
        present = [i for i in stance if (gold == i).any()]
        resampled = resample(gold, [found], documents[chosen].tolist(), classes, seed)[0]
        f1 = f1_score(gold, found, labels=present, average="macro", zero_division=0.0) if present else None
        result[str(value)] = {
            "sentences": int(chosen.sum()),
            "stance_sentences": int(np.isin(gold, stance).sum()),
            "macro_f1": None if f1 is None else float(f1),
            "macro_f1_interval": interval(macro_f1_of(resampled, present)) if present else None,
            "accuracy": float((gold == found).mean()),
            "accuracy_interval": interval(accuracy_of(resampled)),
        }
    return result
