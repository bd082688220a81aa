"""Reports in Markdown and pictures, made from `metrics.json` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stance.evaluation.metrics import spread
from stance.schema import MissingExtraError

try:
    import jinja2
    import numpy as np
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay
except ImportError as error:
    raise MissingExtraError("a report", "train") from error

METRICS_FILE = "metrics.json"
# Slices with fewer sentences are in metrics.json only.
MIN_SLICE = 30


def write_report(folder: Path) -> None:
    """Write `report.md` and `confusion_matrix.png` beside a `metrics.json`."""
    metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    _draw_confusion_matrix(metrics, folder / "confusion_matrix.png")
    (folder / "report.md").write_text(render_markdown(metrics), encoding="utf-8")


def render_markdown(metrics: dict[str, Any]) -> str:
    """The report's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stance", "evaluation"),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["figure"] = _figure
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    slices = {
        column: {value: s for value, s in values.items() if s["sentences"] >= MIN_SLICE}
        for column, values in metrics["slices"].items()
    }
    return environment.get_template("report.md.jinja").render(
        m=metrics, slices={column: values for column, values in slices.items() if values}, min_slice=MIN_SLICE
    )


def summary_table(metrics: dict[str, dict[str, Any]]) -> str:
    """One compact table: a row for each named set of metrics."""
    lines = [f"{'':<26} {'macro-F1':>8}  {'95 % interval':<15} {'accuracy':>8} {'ECE':>6} {'Brier':>6} {'n':>7}"]
    for name, m in metrics.items():
        low, high = m["macro_f1_interval"]
        lines.append(
            f"{name:<26} {m['macro_f1']:>8.3f}  [{low:.3f}, {high:.3f}]  {m['accuracy']:>8.3f} {m['ece']:>6.3f} "
            f"{m['brier']:>6.3f} {m['sentences']:>7,}"
        )
    return "\n".join(lines)


def folds_table(folds: list[dict[str, Any]]) -> str:
    """The table of a cross-validation: a row for each fold, then mean and standard deviation."""
    rows = {**{f"fold {i}": fold for i, fold in enumerate(folds, start=1)}, **spread(folds)}
    lines = [f"{'':<18} {'macro-F1':>8} {'accuracy':>8} {'ECE':>6} {'Brier':>6}"]
    for name, m in rows.items():
        figures = f"{m['macro_f1']:>8.3f} {m['accuracy']:>8.3f} {m['ece']:>6.3f} {m['brier']:>6.3f}"
        lines.append(f"{name.replace('_', ' '):<18} {figures}")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _draw_confusion_matrix(metrics: dict[str, Any], file: Path) -> None:
    matrix = np.array(metrics["confusion_matrix"])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + len(matrix), 1.2 + len(matrix)), layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(shares, display_labels=metrics["labels"])
    display.plot(ax=axes, cmap="Blues", include_values=False, colorbar=False, im_kw={"vmin": 0, "vmax": 1})
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            axes.text(
                j,
                i,
                f"{count:,}\n{shares[i, j]:.0%}",
                ha="center",
                va="center",
                color="white" if shares[i, j] > 0.5 else "black",
            )
    axes.set(xlabel="predicted", ylabel="gold", title="Confusion matrix (share of the gold label)")
    figure.savefig(file, dpi=150, bbox_inches="tight", metadata={"Software": None})
