"""Whose stance it is: where the name stands, and that a trained model finds it."""

from pathlib import Path

import numpy as np
import pytest
from conftest import COUNTRIES, PHRASES, tiny_settings, write_jsonl
from tokenizers import Tokenizer

from stance import load, predict
from stance.data.labelled import load_files
from stance.models.transformer.serve import Inputs, InputSettings, Window, best_span
from stance.schema import Sentence, TaskSpec
from stance.text.names import locate, token_f1
from stance.training import train


@pytest.mark.parametrize(
    ("holder", "text", "context", "found"),
    [
        ("Egypt", "Chad, not Egypt, objected.", "", "Egypt"),
        ("Egypt", "EGYPT objected.", "", "EGYPT"),
        ("the envoy", "An Envoy objected.", "", "Envoy"),
        ("Egypt", "It objected.", "Egypt came. Egypt spoke.", "Egypt"),
        ("Mali", "Somalia objected.", "", None),
        (
            "deputy foreign minister",
            "The deputy minister for foreign affairs objected.",
            "",
            "deputy minister for foreign",
        ),
        ("Egypt, Jordan", "Both Egypt and Jordan objected.", "", "Egypt and Jordan"),
        ("foreign minister", "He objected, minister.", "The foreign minister came.", "foreign minister"),
        ("the", "The.", "the", None),
        ("U.N. (envoy)", "The U.N. (envoy) objected.", "", "U.N. (envoy)"),
    ],
)
def test_where_a_holder_is_named(holder: str, text: str, context: str, found: str | None) -> None:
    place = locate(holder, [text, context])
    assert (place and [text, context][place[0]][place[1] : place[2]]) == found


def test_in_the_text_the_first_mention_counts_and_in_the_context_the_last() -> None:
    assert locate("Egypt", ["Egypt and Egypt", "Egypt"]) == (0, 0, 5)
    assert locate("Egypt", ["It said no", "Egypt and Egypt", "Egypt"]) == (1, 10, 15)


def test_overlap_in_words() -> None:
    assert token_f1("the UN envoy", "UN Envoy") == 1
    assert token_f1("envoy", "UN envoy") == pytest.approx(2 / 3)
    assert token_f1("Egypt", "Chad") == 0


def window_of(encoder: Path, sentence: Sentence, max_length: int = 32) -> tuple[Inputs, Window]:
    inputs = Inputs(Tokenizer.from_file(str(encoder / "tokenizer.json")), InputSettings(2, max_length))
    (window,) = inputs.windows([sentence])
    return inputs, window


@pytest.mark.parametrize("context", ["", "Chad met France.\nQatar met the envoy."])
@pytest.mark.parametrize("holder", ["Egypt", "the Council", "Qatar", "author", ""])
def test_tokens_and_names_go_both_ways(tiny_encoder: Path, holder: str, context: str) -> None:
    inputs, window = window_of(tiny_encoder, Sentence("Egypt urged the Council to lift the arms embargo.", context))
    tokens = inputs.holder_tokens(window, window.first, holder)
    if not holder or (holder == "Qatar" and not context):
        assert tokens is None
    else:
        assert tokens is not None
        assert inputs.named(window, *tokens) == holder.removeprefix("the ")


def test_a_name_that_was_cut_away_is_none(tiny_encoder: Path) -> None:
    inputs, window = window_of(tiny_encoder, Sentence("Egypt met the envoy.", "Qatar met Chad and France."), 12)
    assert inputs.tokenizer.decode(window.units[0].ids) == "and france ."
    assert inputs.holder_tokens(window, 1, "Qatar") is None
    tokens = inputs.holder_tokens(window, 1, "France")
    assert tokens
    assert inputs.named(window, *tokens) == "France"


def test_a_name_in_a_sentence_that_was_cut_is_found_in_what_is_left(tiny_encoder: Path) -> None:
    inputs, window = window_of(tiny_encoder, Sentence("Egypt met Chad and France and the envoy of Qatar."), 8)
    assert inputs.holder_tokens(window, 0, "Qatar") is None
    assert inputs.holder_tokens(window, 0, "Chad") == (3, 3)


def test_a_holder_is_looked_for_no_farther_than_a_sentence_sees(tiny_encoder: Path) -> None:
    texts = ["Qatar met France.", "Chad met.", "Spain met.", "Egypt met."]
    inputs = Inputs(Tokenizer.from_file(str(tiny_encoder / "tokenizer.json")), InputSettings(2, 64))
    (window,) = inputs.windows([Sentence(text, "\n".join(texts[:i])) for i, text in enumerate(texts)])
    assert [inputs.holder_tokens(window, i, "Qatar") is None for i in range(4)] == [False, False, False, True]


def test_a_span_that_crosses_sentences_is_named_by_the_last(tiny_encoder: Path) -> None:
    inputs, window = window_of(tiny_encoder, Sentence("Egypt met the envoy.", "Chad met France"))
    assert inputs.named(window, 3, 7) == "Egypt met"
    assert inputs.named(window, 0, 1) == "Chad"
    assert inputs.named(window, 4, 4) == "author"  # between the two


def test_the_best_span_is_in_order_and_short() -> None:
    logits = np.zeros((40, 2), np.float32)
    logits[30, 0] = logits[1, 1] = 5  # in the wrong order
    logits[2, 0] = logits[3, 1] = 3
    assert best_span(logits) == (2, 3)
    logits = np.zeros((40, 2), np.float32)
    logits[2, 0] = logits[39, 1] = 5  # too long
    first, last = best_span(logits)
    assert 0 <= last - first < 16


def test_a_trained_model_names_the_holder(tiny_encoder: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    for country, other in zip(COUNTRIES, reversed(COUNTRIES), strict=True):
        for label, phrase in PHRASES.items():
            text = f"{country} {phrase}."
            rows.append({"doc": country, "text": text, "label": label, "holder": "" if label == "none" else country})
            if label == "for":
                rows.append(
                    {"doc": country, "text": f"lift the arms embargo with {other}.", "label": label, "holder": "author"}
                )
    files = {
        "train": write_jsonl(tmp_path / "train.jsonl", rows),
        "validation": write_jsonl(tmp_path / "validation.jsonl", [{**row, "doc": "held out"} for row in rows[:10]]),
    }
    train(
        load_files(files, TaskSpec(), seed=1),
        task=TaskSpec(),
        settings=tiny_settings(tiny_encoder, epochs=25),
        seed=1,
        out=tmp_path / "model",
        report=tmp_path / "report",
        data_name="tiny",
    )
    texts = [str(row["text"]) for row in rows]
    found = predict(texts, model=tmp_path / "model")
    right = [p.holder == (row["holder"] or None) for p, row in zip(found, rows, strict=True)]
    assert np.mean(right) >= 0.9
    in_context = load(tmp_path / "model").read([Sentence("met Spain.", "Egypt urged the Council.")])
    assert len(in_context[1]) == 1
    assert predict(texts[0], model=tmp_path / "model", min_confidence=1).holder is None
