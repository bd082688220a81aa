"""The report of an evaluation as pages: Markdown for a pull request, HTML to explore."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from stance.pages.figures import precision_recall_curves, reliability_diagram, risk_coverage_curve
from stance.pages.templates import html_template, markdown_template
from stance.text.characters import visible

# Slices with fewer sentences are in metrics.json only.
MIN_SLICE = 30
# Sentences before a sentence that the page shows.
CONTEXT_SHOWN = 3


def render_markdown(metrics: dict[str, Any]) -> str:
    """The report as a pull request's comment."""
    return markdown_template("report.md.jinja").render(**_common(metrics))


def render_html(metrics: dict[str, Any], predictions: list[dict[str, Any]]) -> str:
    """The report as a page that needs nothing beside itself.

    Args:
        metrics: of `metrics.json`.
        predictions: of `predictions.jsonl`.
    """
    labels = metrics["labels"]
    gold = [row["gold"] for row in predictions]
    probabilities = np.array([[row["probabilities"][label] for label in labels] for row in predictions])
    correct = np.array([row["gold"] == row["label"] for row in predictions])
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
            "gold": labels.index(row["gold"]),
            "predicted": labels.index(row["label"]),
            "probabilities": [round(p, 3) for p in p_row],
            "explanation": [[visible(token), round(weight, 3)] for token, _, _, weight in row.get("explanation", [])],
        }
        for row, p_row in zip(predictions, probabilities.tolist(), strict=True)
    ]
    template = html_template("report.html.jinja")
    safe = {name: Markup(svg) for name, svg in figures.items()}
    return template.render(**_common(metrics), figures=safe, sentences=sentences)


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
