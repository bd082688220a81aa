"""Fit a model on the training split, measure it on validation, save it: plain arguments in, metrics out."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tqdm import tqdm

from stance.atomic import check_replaceable, whole_folder
from stance.data.labelled import (
    Dataset,
    DatasetDict,
    concatenate_datasets,
    fingerprint,
    hold_out,
    label_names,
    pick_split,
    sentences,
)
from stance.data.parts import balance_parts, by_part, parts_of
from stance.evaluation.evaluate import evaluate, score, write_json
from stance.evaluation.metrics import spread
from stance.evaluation.report import METRICS_FILE
from stance.models.card import model_card
from stance.models.folder import MODEL_FILE, SavableModel, load_model, read_description, save_model
from stance.models.settings import TfidfSettings, TransformerSettings
from stance.models.tfidf import fit_tfidf
from stance.prediction import load
from stance.schema import LabelledSentences, MissingExtraError, StanceError, TaskSpec

try:
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("training", "train") from error

if TYPE_CHECKING:
    from stance.models.onnx import OnnxModel

log = logging.getLogger(__name__)

CROSS_VALIDATION_FILE = "cross_validation.json"


def train(
    dataset: DatasetDict,
    *,
    task: TaskSpec,
    settings: TfidfSettings | TransformerSettings,
    seed: int,
    out: str | os.PathLike[str],
    report: str | os.PathLike[str],
    data_name: str,
    real_weight: float = 1.0,
    test: bool = True,
    resume: bool = False,
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
        real_weight: weight of a real sentence in training, where any other has 1.
        test: whether to look at the test split; a search for hyperparameters must not.
        resume: whether to continue a transformer's training that was cut off.

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
    model = fit(
        train_split,
        validation_split,
        task=task,
        settings=settings,
        seed=seed,
        checkpoints=f"{os.fspath(out)}.checkpoints",
        real_weight=real_weight,
        resume=resume,
    )
    log.info("measuring")
    info = {
        "settings": vars(settings),
        "seed": seed,
        "training_data": {
            "name": data_name,
            "sha256": fingerprint(train_split),
            "parts": {part: fingerprint(rows) for part, rows in by_part(train_split).items()},
            "real_weight": real_weight,
            "sentences": len(train_split),
            "documents": len(set(train_split["doc"])),
        },
    }
    validation = _save(model, out, info, validation_split)
    split = "test" if test and "test" in dataset else "validation"
    reported = evaluate(
        load_model(Path(out)),
        dataset[split],
        report,
        seed=seed,
        about={"model": Path(out).name, "data": data_name, "split": split},
    )
    return {"validation": validation, split: reported}


def _save(
    model: SavableModel, out: str | os.PathLike[str], info: dict[str, Any], validation_split: Dataset
) -> dict[str, Any]:
    """Measure a model on validation and save it with what was found, which is returned."""
    validation = score(model, validation_split, seed=info["seed"])[0]
    left_out = ("slices", "confusion_matrix", "reliability", "selective", "predicted")
    kept = {k: v for k, v in validation.items() if k not in left_out}
    card = model_card(model.kind, info["settings"], model.task, info["training_data"], validation)
    save_model(model, out, info={**info, "validation": kept}, card=card)
    return validation


def export_folder(
    folder: str | os.PathLike[str], out: str | os.PathLike[str], validation_split: Dataset
) -> dict[str, Any]:
    """Export a trained transformer anew, and save a model folder with nothing but what is served.

    Args:
        folder: a model folder that `train` wrote.
        out: the model folder to write.
        validation_split: what the export is checked and calibrated on, with the model's labels.

    Returns:
        The metrics of the exported model on `validation_split`.

    Raises:
        StanceError: if `folder` holds no transformer's weights, the export fails its checks, or `out` may not be
            replaced.
    """
    from stance.models.export import export
    from stance.models.transformer import load_classifier

    check_replaceable(out, marker=MODEL_FILE)
    description = read_description(Path(folder))
    model = load(folder)
    inputs = cast("OnnxModel", model).inputs
    classifier = load_classifier(Path(folder), model.task, inputs.settings.context)
    served = export(classifier, inputs, _balanced(validation_split, model.task), task=model.task)
    info = {name: description[name] for name in ("settings", "seed", "training_data")}
    return _save(served, out, info, validation_split)


def fit(
    train_split: Dataset,
    validation_split: Dataset | None,
    *,
    task: TaskSpec,
    settings: TfidfSettings | TransformerSettings,
    seed: int,
    checkpoints: str | os.PathLike[str],
    real_weight: float = 1.0,
    resume: bool = False,
) -> SavableModel:
    """Fit the model that the settings are of.

    Args:
        train_split: what it learns from.
        validation_split: what a transformer's best epoch and calibration are chosen on, by default a tenth of the
            training documents; the baseline does without.
        task: the labels.
        settings: hyperparameters.
        seed: governs everything drawn by chance.
        checkpoints: where a transformer's unfinished training lies.
        real_weight: weight of a real sentence in training, where any other has 1.
        resume: whether to continue it.

    Raises:
        StanceError: if the data do not make a model, or there is nothing that can be resumed.
    """
    if not 0 < real_weight < math.inf:
        raise StanceError(f"data.real_weight must be positive, not {real_weight}")
    labels, documents = label_names(train_split), list(train_split["doc"])
    if isinstance(settings, TfidfSettings):
        if resume:
            raise StanceError("the baseline trains in seconds and has nothing to resume; leave --resume out")
        texts = list(train_split["text"])
        weights = _weights(train_split, real_weight)
        return fit_tfidf(texts, labels, documents, task=task, settings=settings, seed=seed, weights=weights)
    from stance.models.transformer import fit_transformer

    if validation_split is None:
        kept, held_out = hold_out(labels, documents, seed=seed)
        train_split, validation_split = train_split.select(kept), train_split.select(held_out)
    weights = _weights(train_split, real_weight)
    return fit_transformer(
        LabelledSentences(sentences(train_split), list(train_split["label"]), weights),
        _balanced(validation_split, task),
        task=task,
        settings=settings,
        seed=seed,
        checkpoints=Path(checkpoints),
        resume=resume,
    )


def _weights(split: Dataset, real_weight: float) -> list[float]:
    return [real_weight if part == "real" else 1.0 for part in parts_of(split)]


def _balanced(split: Dataset, task: TaskSpec) -> LabelledSentences:
    """A validation split in which the stances of each part weigh the same."""
    weights = balance_parts(split, task.stance_labels).tolist()
    return LabelledSentences(sentences(split), list(split["label"]), weights)


def cross_validate(
    dataset: DatasetDict,
    *,
    folds: int,
    task: TaskSpec,
    settings: TfidfSettings | TransformerSettings,
    seed: int,
    report: str | os.PathLike[str],
    real_weight: float = 1.0,
) -> list[dict[str, Any]]:
    """Train on all folds but one and score that one, in turn; folds are grouped by document.

    Args:
        dataset: `train` and `validation` are pooled; `test` is not looked at.
        folds: how many, at least 2.
        task: the labels.
        settings: the model's hyperparameters.
        seed: governs the folds and the fits.
        report: the folder to write `cross_validation.json` into, whole or not at all.
        real_weight: weight of a real sentence in training, where any other has 1.

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
        model = fit(
            pooled.select(train_rows),
            None,
            task=task,
            settings=settings,
            seed=seed,
            checkpoints=f"{os.fspath(report)}.checkpoints",
            real_weight=real_weight,
        )
        results.append(score(model, pooled.select(held_out), seed=seed)[0])
    with whole_folder(report, marker=CROSS_VALIDATION_FILE) as folder:
        write_json(
            folder / CROSS_VALIDATION_FILE,
            {"settings": vars(settings), "seed": seed, **spread(results), "folds": results},
        )
    return results
