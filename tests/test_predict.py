import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stance
from stance import LABELS, Prediction, load, predict
from stance.schema import Sentence, TaskSpec


def test_a_string_gives_one_prediction(tiny_model: Path) -> None:
    prediction = predict("Peru urged the Council to lift the arms embargo at once.", model=tiny_model)
    assert isinstance(prediction, Prediction)
    assert prediction.label == "for"
    assert tuple(prediction.probabilities) == LABELS
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.confidence == max(prediction.probabilities.values())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_list_gives_a_list(tiny_model: Path, count: int) -> None:
    predictions = predict(["Peru met the envoy."] * count, model=tiny_model)
    assert isinstance(predictions, list)
    assert len(predictions) == count


def test_batch_size_does_not_change_the_result(tiny_model: Path) -> None:
    texts = [f"Country {i} opposed lifting the arms embargo." for i in range(7)]
    assert predict(texts, model=tiny_model, batch_size=2) == predict(texts, model=tiny_model)


def test_a_folder_name_and_a_loaded_model_predict_the_same(tiny_model: Path) -> None:
    text = "Peru opposed lifting the arms embargo."
    assert predict(text, model=str(tiny_model)) == predict(text, model=load(tiny_model))


def test_an_unchanged_folder_is_loaded_once(tiny_model: Path) -> None:
    assert load(tiny_model) is load(tiny_model)


def test_the_environment_names_the_default_model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCE_MODEL", str(tiny_model))
    assert load() is load(tiny_model)


@pytest.mark.parametrize(("texts", "index"), [(["a b", 3], 1), ([None], 0), ([b"bytes"], 0)])
def test_a_non_string_is_a_type_error_that_names_its_index(tiny_model: Path, texts: list[object], index: int) -> None:
    with pytest.raises(TypeError, match=rf"text\[{index}\]"):
        predict(texts, model=tiny_model)  # type: ignore[call-overload]


@pytest.mark.parametrize("text", [None, 3, b"bytes", {"text": "a"}])
def test_what_is_no_list_of_strings_is_a_type_error(text: object) -> None:
    with pytest.raises(TypeError, match="text must be a string or a list of strings"):
        predict(text)  # type: ignore[call-overload]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0"])
def test_a_blank_string_is_a_value_error_that_names_its_index(text: str) -> None:
    with pytest.raises(ValueError, match="text is blank"):
        predict(text)
    with pytest.raises(ValueError, match=r"text\[1\] is blank"):
        predict(["fine", text])


def test_contexts_go_with_their_sentences() -> None:
    class Echo:
        task = TaskSpec(("short", "long"), ("long",))

        def read(self, sentences: list[Sentence], **_: object) -> tuple[np.ndarray, list[None]]:
            return np.array([[0.0, 1.0] if s.context else [1.0, 0.0] for s in sentences]), [None] * len(sentences)

    assert [p.label for p in predict(["a", "b"], context=["before", None], model=Echo())] == ["long", "short"]
    assert predict("a", context="before", model=Echo()).label == "long"


@pytest.mark.parametrize(
    ("text", "context", "error"),
    [
        ("a", ["b"], TypeError),
        (["a"], "b", TypeError),
        (["a"], [3], TypeError),
        (["a"], [], ValueError),
        (["a"], ["b", "c"], ValueError),
    ],
)
def test_contexts_that_do_not_fit(text: object, context: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="context"):
        predict(text, context=context)  # type: ignore[call-overload]


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        predict("a", batch_size=0)


def test_threads_share_a_model(tiny_model: Path) -> None:
    texts = [f"Country {i} would lift the arms embargo only if asked." for i in range(20)]
    expected = predict(texts, model=tiny_model)
    results: list[list[Prediction]] = []
    threads = [threading.Thread(target=lambda: results.append(predict(texts, model=tiny_model))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 8


@settings(deadline=None)
@given(st.lists(st.text().filter(str.strip), max_size=3))
def test_any_text_gets_probabilities(texts: list[str]) -> None:
    for prediction in predict(texts):
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.label in LABELS


def test_the_public_names() -> None:
    assert set(stance.__all__) == {"LABELS", "ArticleStance", "Prediction", "analyze", "load", "predict"}


def test_below_the_confidence_asked_for_there_is_no_label(tiny_model: Path) -> None:
    texts = ["Chad urged the Council to lift the arms embargo at once.", "Something else entirely, said nobody."]
    every = predict(texts, model=tiny_model)
    bar = (every[0].confidence + every[1].confidence) / 2
    kept = predict(texts, model=tiny_model, min_confidence=bar)
    assert [p.label is None for p in kept] == [p.confidence < bar for p in every]
    assert [(p.probabilities, p.confidence) for p in kept] == [(p.probabilities, p.confidence) for p in every]
    assert [p.label for p in predict(texts, model=tiny_model, min_confidence=0)] == [p.label for p in every]


@pytest.mark.parametrize("bar", [-0.1, 1.1, float("nan")])
def test_a_confidence_that_is_none_is_a_value_error(bar: float, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="min_confidence must be from 0 to 1"):
        predict("A sentence.", model=tiny_model, min_confidence=bar)


def test_explanations_are_given_where_asked_for(tiny_model: Path) -> None:
    texts = ["Chad urged the Council to lift the arms embargo.", "Malta met the envoy."]
    assert [p.explanation for p in predict(texts, model=tiny_model)] == [None, None]
    for text, prediction in zip(texts, predict(texts, model=tiny_model, explain=True), strict=True):
        assert prediction.explanation
        assert all(
            text[a.start : a.end].lower() == a.token.strip().lower()
            for a in prediction.explanation
            if " " not in a.token.strip()
        )
