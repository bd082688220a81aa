"""Score a model on labelled data, and write the report folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.atomic import check_replaceable, whole_folder
from stance.data.labelled import (
    LABEL_COLUMNS,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    Dataset,
    fingerprint,
    label_names,
    sentences,
)
from stance.data.parts import parts_of
from stance.evaluation.behaviour import Case, make_invariance_cases, run_cases
from stance.evaluation.metrics import MAX_SLICES, compute_metrics, holder_metrics, length_slice
from stance.evaluation.report import METRICS_FILE, PREDICTIONS_FILE, write_report
from stance.models import StanceModel

# N-grams in `predictions.jsonl` for each sentence: those that weigh most.
EXPLAINED = 8
# Figures of `metrics.json` that are given for each part of the data too.
PART_FIGURES = (
    *("sentences", "documents", "macro_f1", "macro_f1_interval", "macro_f1_all", "accuracy", "accuracy_interval"),
    *("ece", "brier", "takes_a_stance", "per_class"),
)


def score(
    model: StanceModel, dataset: Dataset, *, seed: int
) -> tuple[dict[str, Any], NDArray[np.float64], list[str | None]]:
    """Predict a labelled dataset and compare.

    Args:
        model: the model.
        dataset: as `stance.data` gives it, with the model's labels.
        seed: governs the bootstrap.

    Returns:
        The metrics (see `compute_metrics`) with the data's fingerprint; with `holders` (see `holder_metrics`) where
        holders are labelled and the model names some; and with `parts`, the figures of each part, where the data have
        several. Then the probabilities, shape (rows, labels), and the holders.
    """
    items = sentences(dataset)
    probabilities, holders = model.read(items, progress=True)
    labels, documents, parts = label_names(dataset), list(dataset["doc"]), parts_of(dataset)
    metrics = compute_metrics(
        labels, probabilities, documents, task=model.task, seed=seed, slices=_slice_columns(dataset)
    )
    if any(holders) and any(item.holder for item in items):
        metrics["holders"] = holder_metrics([item.holder for item in items], holders, documents, seed=seed)
    if len(set(parts)) > 1:
        metrics["parts"] = {}
        for part in dict.fromkeys(parts):
            rows = [row for row, other in enumerate(parts) if other == part]
            of_part = compute_metrics(
                [labels[row] for row in rows],
                probabilities[rows],
                [documents[row] for row in rows],
                task=model.task,
                seed=seed,
            )
            metrics["parts"][part] = {name: of_part[name] for name in PART_FIGURES}
    return {"data_sha256": fingerprint(dataset), **metrics}, probabilities, holders


def _slice_columns(dataset: Dataset) -> dict[str, list[str]]:
    columns = {"sentence length": [length_slice(text) for text in dataset["text"]]}
    for name in dataset.column_names:
        if name == "label" or name in TEXT_COLUMNS + NUMBER_COLUMNS:
            continue
        values = ["yes" if v is True else "no" if v is False else v or "(empty)" for v in dataset[name]]
        if 1 < len(set(values)) <= MAX_SLICES:
            columns[name] = values
    return columns


def evaluate(
    model: StanceModel,
    dataset: Dataset,
    report: str | os.PathLike[str],
    *,
    seed: int,
    about: dict[str, Any],
    behaviour: Sequence[Case] = (),
) -> dict[str, Any]:
    """Score a model and write the report folder, whole or not at all.

    Args:
        model: the model.
        dataset: labelled sentences.
        report: the folder to write; an older report there is replaced.
        seed: governs the bootstrap.
        about: what was evaluated on what, put at the head of `metrics.json`.
        behaviour: hand-written behavioural tests; if there are any, more are made of the sentences with a stance.

    Returns:
        The contents of `metrics.json`.

    Raises:
        StanceError: if `report` exists and is no report folder.
    """
    check_replaceable(report, marker=METRICS_FILE)
    metrics, probabilities, holders = score(model, dataset, seed=seed)
    metrics = {**about, "seed": seed, **metrics}
    if behaviour:
        labelled = zip(sentences(dataset), label_names(dataset), strict=True)
        stances = [sentence for sentence, label in labelled if label in model.task.stance_labels]
        metrics["behaviour"] = run_cases(model, [*behaviour, *make_invariance_cases(stances, seed=seed)])
    with whole_folder(report, marker=METRICS_FILE) as folder:
        write_json(folder / METRICS_FILE, metrics)
        _write_predictions(folder / PREDICTIONS_FILE, model, dataset, probabilities, holders)
        write_report(folder)
    return metrics


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write readable JSON."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_predictions(
    file: Path,
    model: StanceModel,
    dataset: Dataset,
    probabilities: NDArray[np.float64],
    holders: Sequence[str | None],
) -> None:
    labels = model.task.labels
    kept = dataset.remove_columns([c for c in LABEL_COLUMNS if c in dataset.column_names])
    best = [labels[number] for number in probabilities.argmax(axis=1).tolist()]
    explanations = model.explain(sentences(dataset), best) if model.explains_at_once else None
    with file.open("w", encoding="utf-8") as stream:
        for i, (row, gold) in enumerate(zip(kept, label_names(dataset), strict=True)):
            line = {
                **row,
                "label": gold,
                "predicted": best[i],
                "probabilities": dict(zip(labels, probabilities[i].tolist(), strict=True)),
            }
            if any(holders):
                line["predicted_holder"] = holders[i]
            if explanations:
                loudest = sorted(explanations[i], key=lambda a: -abs(a.weight))[:EXPLAINED]
                line["explanation"] = [astuple(attribution) for attribution in loudest]
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
