"""Bootstrap samples of confusion matrices, drawn by document, and what is computed of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_SAMPLES = 2000
QUANTILES = (0.025, 0.975)


def resample(
    truth: NDArray[np.int_],
    predictions: Sequence[NDArray[np.int_]],
    documents: Sequence[str],
    classes: int,
    seed: int,
) -> list[NDArray[np.float64]]:
    """Draw bootstrap samples of the confusion matrices of several models, the same documents for each model.

    Whole documents are drawn with replacement, as the sentences of one document are not independent.

    Args:
        truth: the true label's column, shape (n,).
        predictions: of each model the predicted label's column, shape (n,).
        documents: the sentences' documents, n of them.
        classes: how many labels there are.
        seed: governs what is drawn.

    Returns:
        For each model shape (samples, classes, classes), rows gold, columns predicted.
    """
    _, doc = np.unique(np.asarray(documents), return_inverse=True)
    count = int(doc.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_SAMPLES)
    results: list[NDArray[np.float64]] = []
    for predicted in predictions:
        matrices = np.zeros((count, classes, classes))
        np.add.at(matrices, (doc, truth, predicted), 1)
        resampled: NDArray[np.float64] = np.asarray(np.tensordot(draws, matrices, axes=1), dtype=np.float64)
        results.append(resampled)
    return results


def macro_f1_of(matrices: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    """Compute macro-F1 of confusion matrices.

    Args:
        matrices: shape (samples, classes, classes), rows gold, columns predicted.
        columns: the classes to average over. A class that a sample has neither in its gold nor in its predictions is
            left out of the sample's average.

    Returns:
        Shape (samples,); NaN where a sample has none of the classes.
    """
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    sums = matrices.sum(axis=1) + matrices.sum(axis=2)
    f1: NDArray[np.float64] = np.divide(2 * hits, sums, out=np.zeros_like(hits), where=sums > 0)[:, columns]
    occurring = (sums > 0)[:, columns].sum(axis=1)
    macro_f1: NDArray[np.float64] = np.divide(
        f1.sum(axis=1), occurring, out=np.full(len(f1), np.nan), where=occurring > 0
    )
    return macro_f1


def accuracy_of(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the accuracy of confusion matrices of shape (samples, classes, classes), giving shape (samples,)."""
    accuracy: NDArray[np.float64] = np.trace(matrices, axis1=1, axis2=2) / matrices.sum(axis=(1, 2))
    return accuracy


def interval(samples: NDArray[np.float64]) -> list[float]:
    """Return the 95 % percentile interval (Efron and Tibshirani 1993, ch. 13) of bootstrap samples.

    Samples that are NaN are left out; if all are, both ends are 0.
    """
    known = samples[~np.isnan(samples)]
    ends: list[float] = np.quantile(known, QUANTILES).tolist() if len(known) else [0.0, 0.0]
    return ends
