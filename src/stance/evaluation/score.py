"""Score a model on labelled data, and write the report folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.atomic import check_replaceable, whole_folder
from stance.data.labelled import LABEL_COLUMNS, LabelledData
from stance.evaluation.behaviour import Case, make_invariance_cases, run_cases
from stance.evaluation.metrics import compute_metrics, holder_metrics
from stance.evaluation.report_folder import METRICS_FILE, write_json, write_pages, write_predictions
from stance.models.base import StanceModel

# N-grams in `predictions.jsonl` for each sentence: those that weigh most.
EXPLAINED = 8
# Figures of `metrics.json` that are given for each part of the data too.
PART_FIGURES = (
    *("sentences", "documents", "macro_f1", "macro_f1_interval", "macro_f1_all", "accuracy", "accuracy_interval"),
    *("ece", "brier", "takes_a_stance", "per_class"),
)


@dataclass(frozen=True)
class Scored:
    """What a model says of labelled data, and how right it is.

    Args:
        metrics: see `compute_metrics`; with the data's fingerprint as `data_sha256`, with `holders` (see
            `holder_metrics`) where holders are labelled and the model names some, and with `parts`, the figures of each
            part, where the data have several.
        probabilities: shape (sentences, labels).
        holders: the holder that the model names for each sentence, or None.
    """

    metrics: dict[str, Any]
    probabilities: NDArray[np.float64]
    holders: list[str | None]


def score(model: StanceModel, data: LabelledData, *, seed: int) -> Scored:
    """Predict labelled sentences and compare.

    Args:
        model: the model.
        data: sentences with the model's labels.
        seed: governs the bootstrap.
    """
    probabilities, holders = model.read(data.sentences, progress=True)
    metrics = compute_metrics(
        data.labels, probabilities, data.documents, task=model.task, seed=seed, slices=data.slices
    )
    gold_holders = [sentence.holder for sentence in data.sentences]
    if any(holders) and any(gold_holders):
        metrics["holders"] = holder_metrics(gold_holders, holders, data.documents, seed=seed)
    parts = data.by_part()
    if len(parts) > 1:
        metrics["parts"] = {}
        for part, rows in parts.items():
            of_part = probabilities[np.array(data.parts) == part]
            figures = compute_metrics(rows.labels, of_part, rows.documents, task=model.task, seed=seed)
            metrics["parts"][part] = {name: figures[name] for name in PART_FIGURES}
    return Scored({"data_sha256": data.fingerprint, **metrics}, probabilities, holders)


def evaluate(
    model: StanceModel,
    data: LabelledData,
    report: str | os.PathLike[str],
    *,
    seed: int,
    about: dict[str, Any],
    behaviour: Sequence[Case] = (),
) -> dict[str, Any]:
    """Score a model and write the report folder, whole or not at all.

    Args:
        model: the model.
        data: labelled sentences.
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
    scored = score(model, data, seed=seed)
    metrics = {**about, "seed": seed, **scored.metrics}
    if behaviour:
        metrics["behaviour"] = run_cases(model, [*behaviour, *make_invariance_cases(data.stances(), seed=seed)])
    with whole_folder(report, marker=METRICS_FILE) as folder:
        write_json(folder / METRICS_FILE, metrics)
        write_predictions(folder, _predictions(model, data, scored))
        write_pages(folder)
    return metrics


def _predictions(model: StanceModel, data: LabelledData, scored: Scored) -> Iterator[dict[str, Any]]:
    """The lines of `predictions.jsonl`: the data's columns, gold label and holder, and what the model says."""
    labels = model.task.labels
    best = [labels[number] for number in scored.probabilities.argmax(axis=1).tolist()]
    explanations = model.explain(data.sentences, best) if model.explains_at_once else None
    for i, row in enumerate(data.rows):
        line = {name: value for name, value in row.items() if name not in (*LABEL_COLUMNS, "holder")}
        probabilities = dict(zip(labels, scored.probabilities[i].tolist(), strict=True))
        line |= {"gold": row["label"], "label": best[i]}
        line |= {"confidence": probabilities[best[i]], "probabilities": probabilities}
        if "holder" in row:
            line["gold_holder"] = row["holder"]
        if any(scored.holders):
            line["holder"] = scored.holders[i]
        if explanations:
            loudest = sorted(explanations[i], key=lambda a: -abs(a.weight))[:EXPLAINED]
            line["explanation"] = [astuple(attribution) for attribution in loudest]
        yield line
