"""Fit a model on the training split, measure it on validation, save it: plain arguments in, metrics out."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from stance.atomic import check_replaceable, whole_folder
from stance.data.labelled import Dataset, DatasetDict, concatenate_datasets, fingerprint, label_names, pick_split
from stance.evaluation.evaluate import evaluate, score, write_json
from stance.evaluation.metrics import spread
from stance.evaluation.report import METRICS_FILE
from stance.models.card import model_card
from stance.models.folder import MODEL_FILE, SavableModel, load_model, save_model
from stance.models.tfidf import TfidfSettings, fit_tfidf
from stance.schema import StanceError, TaskSpec

log = logging.getLogger(__name__)

CROSS_VALIDATION_FILE = "cross_validation.json"


def train(
    dataset: DatasetDict,
    *,
    task: TaskSpec,
    settings: TfidfSettings,
    seed: int,
    out: str | os.PathLike[str],
    report: str | os.PathLike[str],
    data_name: str,
    test: bool = True,
) -> dict[str, dict[str, Any]]:
    """Train, save the model folder, and write the report folder.

    Args:
        dataset: with `train` and `validation`, and `test` if there is one.
        task: the labels.
        settings: the model's hyperparameters.
        seed: governs everything drawn by chance.
        out: the model folder to write.
        report: the report folder to write: on `test` where it is wanted and there is one, else on `validation`.
        data_name: what the data are called in the model folder and the report.
        test: whether to look at the test split; a search for hyperparameters must not.

    Returns:
        Metrics by split: `validation`, and `test` where it was looked at. Those of the report are of the
        model as loaded again from `out`.

    Raises:
        StanceError: if the data do not make a model, or `out` or `report` is something that may not be replaced.
    """
    check_replaceable(out, marker=MODEL_FILE)
    check_replaceable(report, marker=METRICS_FILE)
    train_split, validation_split = pick_split(dataset, "train"), pick_split(dataset, "validation")
    log.info("training on %s sentences", f"{len(train_split):,}")
    model = fit(train_split, task=task, settings=settings, seed=seed)
    log.info("measuring")
    validation, _ = score(model, validation_split, seed=seed)
    training_data = {
        "name": data_name,
        "sha256": fingerprint(train_split),
        "sentences": len(train_split),
        "documents": len(set(train_split["doc"])),
    }
    save_model(
        model,
        out,
        info={
            "settings": vars(settings),
            "seed": seed,
            "training_data": training_data,
            "validation": {k: v for k, v in validation.items() if k not in ("slices", "confusion_matrix")},
        },
        card=model_card(task, training_data, validation),
    )
    split = "test" if test and "test" in dataset else "validation"
    reported = evaluate(
        load_model(Path(out)),
        dataset[split],
        report,
        seed=seed,
        about={"model": Path(out).name, "data": data_name, "split": split},
    )
    return {"validation": validation, split: reported}


def fit(dataset: Dataset, *, task: TaskSpec, settings: TfidfSettings, seed: int) -> SavableModel:
    """Fit a model on a labelled dataset.

    Raises:
        StanceError: if a label has too few documents.
    """
    texts, documents = list(dataset["text"]), list(dataset["doc"])
    return fit_tfidf(texts, label_names(dataset), documents, task=task, settings=settings, seed=seed)


def cross_validate(
    dataset: DatasetDict,
    *,
    folds: int,
    task: TaskSpec,
    settings: TfidfSettings,
    seed: int,
    report: str | os.PathLike[str],
) -> list[dict[str, Any]]:
    """Train on all folds but one and score that one, in turn; folds are grouped by document.

    Args:
        dataset: `train` and `validation` are pooled; `test` is not looked at.
        folds: how many, at least 2.
        task: the labels.
        settings: the model's hyperparameters.
        seed: governs the folds and the fits.
        report: the folder to write `cross_validation.json` into, whole or not at all.

    Returns:
        The metrics of each fold.

    Raises:
        StanceError: if there are fewer documents than folds, or `report` may not be replaced.
    """
    check_replaceable(report, marker=CROSS_VALIDATION_FILE)
    pooled = concatenate_datasets([pick_split(dataset, "train"), pick_split(dataset, "validation")])
    documents, labels = list(pooled["doc"]), label_names(pooled)
    if not 2 <= folds <= len(set(documents)):
        raise StanceError(
            f"cross_validation must be from 2 to the number of documents, {len(set(documents))}, not {folds}"
        )
    results = []
    by_document = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    splits = by_document.split(labels, labels, documents)
    for train_rows, held_out in tqdm(splits, total=folds, desc="cross-validation", unit="fold", disable=None):
        model = fit(pooled.select(train_rows), task=task, settings=settings, seed=seed)
        results.append(score(model, pooled.select(held_out), seed=seed)[0])
    with whole_folder(report, marker=CROSS_VALIDATION_FILE) as folder:
        write_json(
            folder / CROSS_VALIDATION_FILE,
            {"settings": vars(settings), "seed": seed, **spread(results), "folds": results},
        )
    return results
