"""Report folders: `metrics.json` and `predictions.jsonl`, and the pages that are made from these two."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stance.atomic import whole_file
from stance.data.rows import DataError, Field, read_checked
from stance.pages.report import render_html, render_markdown
from stance.schema import StanceError

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.jsonl"
NEEDED = ("macro_f1", "data_sha256", "reliability", "label_numbers", "takes_a_stance")
# Names of keys as version 0.1 wrote them, which are read for one more release.
OLD_METRICS = {"predicted": "label_numbers"}
OLD_PREDICTIONS = {"label": "gold", "holder": "gold_holder", "predicted": "label", "predicted_holder": "holder"}


class ReportError(StanceError, ValueError):
    """A report folder cannot be used."""


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read the `metrics.json` of a report folder.

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
    if "predicted" in metrics:
        metrics = _renamed(metrics, OLD_METRICS, file)
    missing = [name for name in NEEDED if name not in metrics]
    if missing:
        raise ReportError(f"{file} lacks {missing[0]!r}: evaluate the model again, with this version of stance")
    return metrics


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    """Read the `predictions.jsonl` of a report folder.

    Raises:
        ReportError: if there is none, or it is damaged.
    """
    file = folder / PREDICTIONS_FILE
    fields = {"text": Field(), "label": Field(), "probabilities": Field(dict)}
    try:
        rows = [row.values for row in read_checked(file, fields)]
        if "predicted" in rows[0]:
            rows = [_renamed(row, OLD_PREDICTIONS, file if row is rows[0] else None) for row in rows]
        for number, row in enumerate(rows, start=1):
            if reason := Field().why_unfit("gold", row):
                raise DataError(f"{file}:{number}: {reason}")
    except DataError as error:
        raise ReportError(f"{PREDICTIONS_FILE} is damaged: evaluate the model again\n{error}") from None
    return rows


def _renamed(values: Mapping[str, Any], names: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    if file:
        log.warning("%s has the keys of an older version of stance: write it anew, as a later one cannot read it", file)
    return {names.get(name, name): value for name, value in values.items()}


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write readable JSON."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_predictions(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `predictions.jsonl`."""
    with (folder / PREDICTIONS_FILE).open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_pages(folder: Path) -> None:
    """Write `report.md` and `report.html` beside a `metrics.json` and a `predictions.jsonl`.

    Raises:
        ReportError: if these cannot be read.
    """
    metrics, predictions = read_metrics(folder), read_predictions(folder)
    for name, text in (("report.md", render_markdown(metrics)), ("report.html", render_html(metrics, predictions))):
        with whole_file(folder / name) as stream:
            stream.write(text)
