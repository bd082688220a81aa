"""The model that ships in the package: small, made from the repository's data, as good as its card says."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from stance import load, predict
from stance.data.labelled import LabelledData
from stance.data.parts import load_parts
from stance.data.real import real_folder
from stance.evaluation.score import score
from stance.prediction import PRETRAINED
from stance.schema import TaskSpec

DESCRIPTION = json.loads((PRETRAINED / "model.json").read_text())


def test_it_is_the_default() -> None:
    assert load() is load(PRETRAINED)


def test_it_holds_what_is_served_and_no_more() -> None:
    assert {file.name for file in PRETRAINED.iterdir()} == {
        "README.md",
        "inputs.json",
        "model.json",
        "model.onnx",
        "tokenizer.json",
    }
    assert sum(file.stat().st_size for file in PRETRAINED.iterdir()) < 80_000_000


# The packaged weights were trained before the corpus grew and before the real passages were labelled.
before_retraining = pytest.mark.xfail(reason="the packaged model was trained on an earlier corpus", strict=True)


@pytest.fixture(scope="module")
def parts() -> dict[str, LabelledData]:
    """The parts of the labelled data that are at hand: the real passages' text may not be."""
    at_hand = ["corpus", "real"] if (real_folder() / "train.jsonl").is_file() else ["corpus"]
    return load_parts(at_hand, TaskSpec())


@before_retraining
def test_it_was_trained_on_each_part_that_is_at_hand(parts: dict[str, LabelledData]) -> None:
    found = {part: rows.fingerprint for part, rows in parts["train"].by_part().items()}
    trained_on = DESCRIPTION["training_data"]["parts"]
    assert set(trained_on) == {"corpus", "real"}
    assert found.items() <= trained_on.items()


@before_retraining
def test_it_scores_on_validation_as_it_says(parts: dict[str, LabelledData]) -> None:
    validation = score(load(PRETRAINED), parts["validation"], seed=DESCRIPTION["seed"]).metrics
    by_part = DESCRIPTION["validation"]["parts"]
    for part, figures in validation.get("parts", {"corpus": validation}).items():
        for name in ("macro_f1", "accuracy", "ece"):
            assert figures[name] == pytest.approx(by_part[part][name], abs=0.01)
    assert f"{DESCRIPTION['validation']['macro_f1']:.3f}" in (PRETRAINED / "README.md").read_text()


@before_retraining
def test_a_sentence_has_the_same_answer_alone_and_in_any_batch(parts: dict[str, LabelledData]) -> None:
    model = load(PRETRAINED)
    items = random.Random(1).sample(parts["test"].sentences, 2000)
    # Every tenth keeps its context: to read all contexts sentence by sentence would take minutes.
    items = [item if i % 10 == 0 else replace(item, context="") for i, item in enumerate(items)]
    alone = np.concatenate([model.predict_proba([item]) for item in items])
    by_length = sorted(range(len(items)), key=lambda i: len(items[i].text))
    for order, batch_size in ((range(len(items)), 1024), (by_length, 300)):
        found = model.predict_proba([items[i] for i in order], batch_size=batch_size)
        assert np.abs(found - alone[order]).max() <= 0.001
        assert (found.argmax(axis=1) == alone[order].argmax(axis=1)).all()


@before_retraining
def test_a_document_is_read_as_its_sentences_are_one_by_one(parts: dict[str, LabelledData]) -> None:
    model = load(PRETRAINED)
    items = [item for item in parts["test"].sentences if item.context][:100]
    alone = np.concatenate([model.predict_proba([item]) for item in items])
    together = model.predict_proba(items)
    assert np.abs(together - alone).max() <= 0.001
    assert (together.argmax(axis=1) == alone.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Egypt asked the Security Council to lift the arms embargo on Libya.", "for"),
        ("The ambassador said the arms embargo must be kept and better enforced.", "against"),
        ("The minister said the embargo could be eased only if a unity government asked for it.", "conditional"),
        ("The minister met students in the port on Monday.", "none"),
    ],
)
def test_it_knows_plain_sentences(text: str, label: str) -> None:
    prediction = predict(text)
    assert (prediction.label, prediction.confidence > 0.8) == (label, True)


def test_context_matters() -> None:
    contexts = [f"Egypt asked the Council to {act} the arms embargo on Libya." for act in ("lift", "keep")]
    found = [predict("Jordan joined that call.", context=context) for context in contexts]
    assert [(prediction.label, prediction.holder) for prediction in found] == [("for", "Jordan"), ("against", "Jordan")]
    assert predict("Jordan joined that call.").confidence < min(prediction.confidence for prediction in found)


def test_it_says_whose_stance_it_is() -> None:
    assert predict("Egypt asked the Security Council to lift the arms embargo on Libya.").holder == "Egypt"
    assert predict("The minister met students in the port on Monday.").holder is None
