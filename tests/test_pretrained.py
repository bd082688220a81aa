"""The model that ships in the package: small, made from the repository's data, as good as its card says."""

import json
from pathlib import Path

import pytest

from stance import load, predict
from stance.data.corpus import load_corpus
from stance.data.labelled import fingerprint
from stance.evaluation.evaluate import score
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
    assert sum(file.stat().st_size for file in PRETRAINED.iterdir()) < 60_000_000


def test_it_was_trained_on_the_corpus_and_scores_as_it_says() -> None:
    corpus = load_corpus(Path("data/corpus"), Path("data/splits.json"), TaskSpec())
    assert DESCRIPTION["training_data"]["sha256"] == fingerprint(corpus["train"])
    validation, *_ = score(load(PRETRAINED), corpus["validation"], seed=DESCRIPTION["seed"])
    for figure in ("macro_f1", "accuracy", "ece"):
        assert validation[figure] == pytest.approx(DESCRIPTION["validation"][figure], abs=0.01)
    assert f"{DESCRIPTION['validation']['macro_f1']:.3f}" in (PRETRAINED / "README.md").read_text()


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
