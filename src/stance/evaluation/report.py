"""Reports: `report.md` and `report.html` made from `metrics.json` and `predictions.jsonl` alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stance.atomic import whole_file
from stance.data.rows import BadRow, DataError, read_file
from stance.evaluation.metrics import spread
from stance.schema import MissingExtraError, StanceError
from stance.text import visible

try:
    import jinja2
    import numpy as np
    from markupsafe import Markup

    from stance.evaluation.figures import precision_recall_curves, reliability_diagram, risk_coverage_curve
except ImportError as error:
    raise MissingExtraError("a report", "train") from error

METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.jsonl"
# Slices with fewer sentences are in metrics.json only.
MIN_SLICE = 30
# Sentences before a sentence that the page shows.
CONTEXT_SHOWN = 3


class ReportError(StanceError, ValueError):
    """A report folder cannot be used."""


def read_metrics(folder: Path) -> dict[str, Any]:
    """The contents of a report folder's `metrics.json`.

    Raises:
        ReportError: if there is none, or it is not of this version.
    """
    file = folder / METRICS_FILE
    try:
        metrics: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(
            f"{file} cannot be read ({error.strerror}): give a report folder that train.py or evaluate.py wrote"
        ) from None
    except ValueError as error:
        raise ReportError(f"{file} is damaged ({error}): evaluate the model again") from None
    missing = [
        name
        for name in ("macro_f1", "data_sha256", "reliability", "predicted", "takes_a_stance")
        if name not in metrics
    ]
    if missing:
        raise ReportError(f"{file} lacks {missing[0]!r}: evaluate the model again, with this version of stance")
    return metrics


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    """The contents of a report folder's `predictions.jsonl`.

    Raises:
        ReportError: if there is none, or it is damaged.
    """
    file = folder / PREDICTIONS_FILE
    rows = []
    try:
        for row in read_file(file):
            if isinstance(row, BadRow):
                reason: str | None = row.reason
            else:
                reason = _why_no_prediction(row.values)
                rows.append(row.values)
            if reason:
                raise ReportError(f"{file}:{row.line} is damaged ({reason}): evaluate the model again")
    except DataError as error:
        raise ReportError(f"{error}: evaluate the model again") from None
    return rows


def _why_no_prediction(values: Mapping[str, Any]) -> str | None:
    missing = [name for name in ("text", "label", "predicted", "probabilities") if name not in values]
    return f"no {missing[0]!r}" if missing else None


def write_report(folder: Path) -> None:
    """Write `report.md` and `report.html` beside a `metrics.json` and a `predictions.jsonl`.

    Raises:
        ReportError: if these cannot be read.
    """
    metrics, predictions = read_metrics(folder), read_predictions(folder)
    for name, text in (("report.md", render_markdown(metrics)), ("report.html", render_html(metrics, predictions))):
        with whole_file(folder / name) as stream:
            stream.write(text)


def render_markdown(metrics: dict[str, Any]) -> str:
    """The report as a pull request's comment."""
    return environment(autoescape=False).get_template("report.md.jinja").render(**_common(metrics))


def render_html(metrics: dict[str, Any], predictions: list[dict[str, Any]]) -> str:
    """The report as a page that needs nothing beside itself.

    Args:
        metrics: of `metrics.json`.
        predictions: of `predictions.jsonl`.
    """
    labels = metrics["labels"]
    gold = [row["label"] for row in predictions]
    probabilities = np.array([[row["probabilities"][label] for label in labels] for row in predictions])
    correct = np.array([row["label"] == row["predicted"] for row in predictions])
    figures = {
        "reliability": reliability_diagram(metrics["reliability"]),
        "coverage": risk_coverage_curve(correct, probabilities.max(axis=1)),
        "precision_recall": precision_recall_curves(gold, probabilities, labels),
    }
    sentences = [
        {
            "text": visible(row["text"]),
            "context": visible("\n".join((row.get("context") or "").splitlines()[-CONTEXT_SHOWN:])),
            "doc": visible(row.get("doc") or ""),
            "gold": labels.index(row["label"]),
            "predicted": labels.index(row["predicted"]),
            "probabilities": [round(p, 3) for p in p_row],
            "explanation": [[visible(token), round(weight, 3)] for token, _, _, weight in row.get("explanation", [])],
        }
        for row, p_row in zip(predictions, probabilities.tolist(), strict=True)
    ]
    template = environment(autoescape=True).get_template("report.html.jinja")
    safe = {name: Markup(svg) for name, svg in figures.items()}
    return template.render(**_common(metrics), figures=safe, sentences=sentences)


def environment(*, autoescape: bool) -> jinja2.Environment:
    """The templates of this package, with filters for figures and for text of any content."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("stance", "evaluation"),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters |= {
        "figure": lambda value: "–" if value is None else f"{value:.3f}",
        "change": lambda value: f"{value:+.3f}",
        "interval": lambda ends: "–" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
        "rate": lambda value: "–" if value is None else f"{value:.0f}",
        "rates": lambda ends: "–" if ends is None else f"{ends[0]:.0f} to {ends[1]:.0f}",
        "percent": lambda value: f"{value:.0%}",
        "count": lambda value: f"{value:,}",
        "cell": _cell,
        "visible": visible,
    }
    return templates


def _cell(text: object) -> str:
    """Text in a cell of a Markdown table, in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", " ".join(str(text).split()))


def _common(metrics: dict[str, Any]) -> dict[str, Any]:
    slices = {
        column: {value: s for value, s in values.items() if s["sentences"] >= MIN_SLICE}
        for column, values in metrics["slices"].items()
    }
    return {
        "m": metrics,
        "slices": {column: values for column, values in slices.items() if values},
        "min_slice": MIN_SLICE,
        "behaviour": metrics.get("behaviour", {}),
    }


def summary_table(metrics: dict[str, dict[str, Any]]) -> str:
    """Return one compact table: a row for each named set of metrics, and below it one for each part of its data."""
    lines = [
        f"{'':<26} {'macro-F1':>8}  {'95 % interval':<15} {'accuracy':>8} {'ECE':>6} {'any stance':>10} "
        f"{'false/1000':>10} {'n':>7}"
    ]
    for name, m in metrics.items():
        rows = {name: m, **{f"  {part}": figures for part, figures in m.get("parts", {}).items()}}
        for row, figures in rows.items():
            low, high = figures["macro_f1_interval"]
            any_stance, false = (figures["takes_a_stance"][key] for key in ("f1", "false_per_1000"))
            lines.append(
                f"{row:<26} {figures['macro_f1']:>8.3f}  [{low:.3f}, {high:.3f}]  {figures['accuracy']:>8.3f} "
                f"{figures['ece']:>6.3f} {any_stance:>10.3f} {'-' if false is None else f'{false:.0f}':>10} "
                f"{figures['sentences']:>7,}"
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
