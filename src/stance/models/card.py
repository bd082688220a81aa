"""Model cards in the format of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stance.schema import MissingExtraError, TaskSpec

try:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData
except ImportError as error:
    raise MissingExtraError("a model card", "train") from error


def model_card(
    kind: str, settings: dict[str, Any], task: TaskSpec, training_data: dict[str, Any], validation: dict[str, Any]
) -> str:
    """The card of a trained model, with its validation metrics.

    Args:
        kind: of the model, as in its folder.
        settings: its hyperparameters.
        task: the labels and the target.
        training_data: `name`, `sentences` and `documents` of what it was trained on.
        validation: its metrics on the validation split, as `compute_metrics` gives them.
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
    data = ModelCardData(
        language="en",
        license="mit",
        library_name="stance",
        pipeline_tag="text-classification",
        tags=["stance-detection", "arms-embargo"],
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
        kind=kind,
        settings=settings,
        task=task,
        training_data=training_data,
        validation=validation,
    )
    return str(card) + "\n"
