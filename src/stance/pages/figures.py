"""The report's plots, as SVG that takes the page's colours and font."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.schema import MissingExtraError

try:
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.metrics import average_precision_score, precision_recall_curve
except ImportError as error:
    raise MissingExtraError("a report", "train") from error

# Stands for the colour of the page's text, which dark mode changes.
TEXT = "#010203"
# Told apart by the colour-blind (Okabe and Ito 2008); with a line style each, also in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-.", ":")
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": TEXT,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "legend.framealpha": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _draw(name: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.2)
    figure.set_gid(name)
    return figure, axes


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    # Ids that are the same for the same plot, and are no other plot's of the page.
    with mpl.rc_context({"svg.hashsalt": figure.get_gid()}):
        figure.savefig(
            stream, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    svg = stream.getvalue().replace(TEXT, "currentColor")
    return svg[svg.index("<svg") :]


@mpl.rc_context(STYLE)
def reliability_diagram(bins: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy against confidence, with each bin's number of sentences; `bins` as in `metrics.json`."""
    figure, axes = _draw("reliability", "confidence", "accuracy")
    axes.plot([0, 1], [0, 1], color=TEXT, alpha=0.4, linestyle=":", label="perfect calibration")
    confidence = [b["confidence"] for b in bins]
    accuracy = [b["accuracy"] for b in bins]
    axes.plot(confidence, accuracy, "o-", color=COLOURS[0], label="this model")
    for b in bins:
        axes.annotate(
            f"{b['sentences']:,}", (b["confidence"], b["accuracy"]), (4, -9), textcoords="offset points", fontsize=7
        )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    return _svg(figure)


@mpl.rc_context(STYLE)
def risk_coverage_curve(correct: NDArray[np.bool_], confidence: NDArray[np.float64]) -> str:
    """Accuracy of the most confident sentences, against their share (El-Yaniv and Wiener 2010).

    Args:
        correct: whether each prediction is right, shape (n,).
        confidence: its probability, shape (n,).
    """
    figure, axes = _draw("coverage", "coverage: share of sentences that the model decides", "accuracy of these")
    by_confidence = np.argsort(-confidence, kind="stable")
    count = np.arange(1, len(correct) + 1)
    accuracy = np.cumsum(correct[by_confidence]) / count
    # What the very first ones happen to be says nothing.
    shown = slice(min(len(count) - 1, len(count) // 50), None)
    axes.plot((count / len(count))[shown], accuracy[shown], color=COLOURS[0])
    axes.set(xlim=(0, 1.02), ylim=(np.floor(10 * accuracy[shown].min()) / 10, 1.01))
    return _svg(figure)


@mpl.rc_context(STYLE)
def precision_recall_curves(gold: Sequence[str], probabilities: NDArray[np.float64], labels: Sequence[str]) -> str:
    """A curve for each label that occurs, with its average precision.

    Args:
        gold: the true labels, n of them.
        probabilities: shape (n, labels).
        labels: the labels, in the order of the columns.
    """
    figure, axes = _draw("precision-recall", "recall", "precision")
    for number, label in enumerate(labels):
        truth = np.array([g == label for g in gold])
        if truth.any():
            precision, recall, _ = precision_recall_curve(truth, probabilities[:, number])
            axes.plot(
                recall,
                precision,
                color=COLOURS[number % len(COLOURS)],
                linestyle=STYLES[number % len(STYLES)],
                label=f"{label} ({average_precision_score(truth, probabilities[:, number]):.2f})",
            )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="lower left", title="average precision")
    return _svg(figure)
