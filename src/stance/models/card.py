"""Model cards in the format of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stance.models.base import CardText
from stance.schema import MissingExtraError, TaskSpec

try:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData
except ImportError as error:
    raise MissingExtraError("a model card", "train") from error


def model_card(
    text: CardText,
    kind: str,
    settings: Mapping[str, Any],
    task: TaskSpec,
    training_data: Mapping[str, Any],
    validation: Mapping[str, Any],
) -> str:
    """Return the card of a trained model, with its validation metrics.

    Language, licence and subject are named only for the project's own task: what somebody else trained, on data of
    their own, is theirs to say.

    Args:
        text: what the card says of the model's kind.
        kind: of the model, as in its folder.
        settings: its hyperparameters.
        task: the labels and the target.
        training_data: `name`, `sentences` and `documents` of what it was trained on.
        validation: its metrics on the validation split, as `score` gives them.
    """
    dataset = {
        "task_type": "text-classification",
        "dataset_type": training_data["name"],
        "dataset_name": training_data["name"],
        "dataset_split": "validation",
    }
    figures = (
        ("macro_f1", f"macro-F1 over {', '.join(task.stance_labels)}", validation["macro_f1"]),
        ("accuracy", "accuracy", validation["accuracy"]),
        ("expected_calibration_error", "expected calibration error", validation["ece"]),
    )
    ours = task == TaskSpec()
    data = ModelCardData(
        language="en" if ours else None,
        license="mit" if ours else None,
        tags=["stance-detection", "arms-embargo"] if ours else ["stance-detection"],
        base_model=text.base_model,
        library_name="stance",
        pipeline_tag="text-classification",
        model_name=f"stance-{kind}",
        eval_results=[
            EvalResult(metric_type=type_, metric_name=name, metric_value=round(value, 4), **dataset)
            for type_, name, value in figures
        ],
    )
    template = Path(__file__).with_name("card.md.jinja")
    card = ModelCard.from_template(
        data,
        template_path=str(template),
        text=text,
        settings=settings,
        task=task,
        training_data=training_data,
        validation=validation,
    )
    return str(card) + "\n"
