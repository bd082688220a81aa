"""Fit a model on the training split, measure it on validation, save it: plain arguments in, metrics out."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tqdm import tqdm

from stance.atomic import check_replaceable, whole_folder
from stance.data.labelled import LabelledData, pick_split
from stance.data.splits import hold_out
from stance.evaluation.metrics import spread
from stance.evaluation.report_folder import METRICS_FILE, write_json
from stance.evaluation.score import evaluate, score
from stance.models.base import Fitted, Settings, model_kind
from stance.models.card import model_card
from stance.models.folder import MODEL_FILE, load_model, read_description, save_model
from stance.prediction import load
from stance.schema import MissingExtraError, StanceError, TaskSpec

try:
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("training", "train") from error

if TYPE_CHECKING:
    from stance.models.transformer.serve import OnnxModel

log = logging.getLogger(__name__)

CROSS_VALIDATION_FILE = "cross_validation.json"


def train(
    data: Mapping[str, LabelledData],
    *,
    task: TaskSpec,
    settings: Settings,
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
        data: with `train` and `validation`, and `test` if there is one.
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
    train_split, validation_split = pick_split(data, "train"), pick_split(data, "validation")
    log.info("training on %s sentences", f"{len(train_split):,}")
    fitted = fit(
        train_split,
        validation_split,
        task=task,
        settings=settings,
        seed=seed,
        checkpoints=f"{os.fspath(out)}.checkpoints",
        real_weight=real_weight,
        resume=resume,
    )
    if fitted is None:  # another process saves the model
        return {}
    log.info("measuring")
    info = {
        "settings": vars(settings),
        "seed": seed,
        "training_data": {
            "name": data_name,
            "sha256": train_split.fingerprint,
            "parts": {part: rows.fingerprint for part, rows in train_split.by_part().items()},
            "real_weight": real_weight,
            "sentences": len(train_split),
            "documents": len(set(train_split.documents)),
        },
    }
    validation = _save(fitted, settings.kind, out, info, validation_split)
    split = "test" if test and "test" in data else "validation"
    reported = evaluate(
        load_model(Path(out)),
        data[split],
        report,
        seed=seed,
        about={"model": Path(out).name, "data": data_name, "split": split},
    )
    return {"validation": validation, split: reported}


def _save(
    fitted: Fitted, kind: str, out: str | os.PathLike[str], info: dict[str, Any], validation_split: LabelledData
) -> dict[str, Any]:
    """Measure a model on validation, and save it with the metrics, which are returned."""
    validation = score(fitted.model, validation_split, seed=info["seed"]).metrics
    left_out = ("slices", "confusion_matrix", "reliability", "selective", "label_numbers")
    kept = {name: value for name, value in validation.items() if name not in left_out}
    # A folder of an older version may have settings that are gone.
    known = {field.name for field in fields(model_kind(kind).settings)}
    settings = model_kind(kind).settings(**{name: v for name, v in info["settings"].items() if name in known})
    text = model_kind(kind).card(settings)
    card = model_card(text, kind, info["settings"], fitted.model.task, info["training_data"], validation)
    save_model(fitted, kind, out, info={**info, "validation": kept}, card=card)
    return validation


def export_folder(
    folder: str | os.PathLike[str], out: str | os.PathLike[str], validation_split: LabelledData
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
    from stance.models.transformer.export import export
    from stance.models.transformer.network import load_classifier

    check_replaceable(out, marker=MODEL_FILE)
    description = read_description(Path(folder))
    model = load(folder)
    inputs = cast("OnnxModel", model).inputs
    classifier = load_classifier(Path(folder), model.task, inputs.settings.context)
    served = export(classifier, inputs, validation_split.balanced(), task=model.task)
    info = {name: description[name] for name in ("settings", "seed", "training_data")}
    return _save(Fitted(served, served.save), description["kind"], out, info, validation_split)


def fit(
    train_split: LabelledData,
    validation_split: LabelledData | None,
    *,
    task: TaskSpec,
    settings: Settings,
    seed: int,
    checkpoints: str | os.PathLike[str],
    real_weight: float = 1.0,
    resume: bool = False,
) -> Fitted | None:
    """Train a model of the kind given by `settings`.

    Args:
        train_split: what it learns from.
        validation_split: what the best epoch and the calibration are chosen on, for kinds that choose any; by default a
            tenth of the training documents.
        task: the labels.
        settings: hyperparameters.
        seed: governs everything drawn by chance.
        checkpoints: where a transformer's unfinished training lies.
        real_weight: weight of a real sentence in training, where any other has 1.
        resume: whether to continue it.

    Raises:
        StanceError: if the data do not make a model, or there is nothing that can be resumed.

    Returns:
        The trained model; None in all but the first of several processes that train one.
    """
    if not 0 < real_weight < math.inf:
        raise StanceError(f"data.real_weight must be positive, not {real_weight}")
    kind = model_kind(settings.kind)
    if validation_split is None and kind.needs_validation:
        kept, held_out = hold_out(train_split.labels, train_split.documents, seed=seed)
        train_split, validation_split = train_split.select(kept), train_split.select(held_out)
    return kind.fit(
        train_split.weighted(real_weight),
        validation_split.balanced() if validation_split and kind.needs_validation else None,
        task=task,
        settings=settings,
        seed=seed,
        checkpoints=Path(checkpoints),
        resume=resume,
    )


def cross_validate(
    data: Mapping[str, LabelledData],
    *,
    folds: int,
    task: TaskSpec,
    settings: Settings,
    seed: int,
    report: str | os.PathLike[str],
    real_weight: float = 1.0,
) -> list[dict[str, Any]]:
    """Train on all folds but one and score that one, in turn; folds are grouped by document.

    Args:
        data: `train` and `validation` are pooled; `test` is not looked at.
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
    pooled = pick_split(data, "train").joined(pick_split(data, "validation"))
    documents, labels = pooled.documents, pooled.labels
    if not 2 <= folds <= len(set(documents)):
        raise StanceError(
            f"cross_validation must be from 2 to the number of documents, {len(set(documents))}, not {folds}"
        )
    results = []
    by_document = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    splits = by_document.split(labels, labels, documents)
    for train_rows, held_out in tqdm(splits, total=folds, desc="cross-validation", unit="fold", disable=None):
        fitted = fit(
            pooled.select(train_rows),
            None,
            task=task,
            settings=settings,
            seed=seed,
            checkpoints=f"{os.fspath(report)}.checkpoints",
            real_weight=real_weight,
        )
        if fitted:
            results.append(score(fitted.model, pooled.select(held_out), seed=seed).metrics)
    with whole_folder(report, marker=CROSS_VALIDATION_FILE) as folder:
        write_json(
            folder / CROSS_VALIDATION_FILE,
            {"settings": vars(settings), "seed": seed, **spread(results), "folds": results},
        )
    return results
