"""Splitting text into sentences: prose, scraped pages, hard-wrapped lines, and any Unicode."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.data.articles import articles_folder, read_articles
from stance.data.corpus import read_corpus, read_splits
from stance.schema import TaskSpec
from stance.text.sentences import split_sentences


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Gen. Haftar met U.S. officials on Sept. 19.", "He wants arms."],
        ["The U.N. said no.", "It did not say why."],
        ["Mr. Kobler, Dr. Salem and Lt. Col. Amin spoke.", "Nobody listened."],
        ["“We want arms,” he said.", "“Lift the ban.”"],
        ["It cost 3.5 million dollars.", "Who paid?", "Nobody knows!"],
        ["'Lift it,' she said.", "The envoy disagreed."],
    ],
)
def test_prose(sentences: list[str]) -> None:
    assert texts(" ".join(sentences)) == sentences


def test_a_quotation_of_several_sentences_stays_in_one_piece() -> None:
    text = "“We have asked. We have waited. Nothing came,” the minister said."
    assert texts(text) == [text]


def test_what_a_page_has_beside_prose_stands_alone() -> None:
    text = (
        "Skip to main content\n\nLibya asks for arms\nBy A. Writer\n\nThe council met.\nREAD MORE: The ban explained\n"
    )
    assert texts(text) == [
        "Skip to main content",
        "Libya asks for arms",
        "By A. Writer",
        "The council met.",
        "READ MORE: The ban explained",
    ]


def test_hard_wrapped_lines_are_joined() -> None:
    text = (
        "The council renewed the arms embargo on Libya on Thursday, and the United\n"
        "Nations envoy welcomed it. The prime minister said that his country would\n"
        "ask again. Egypt and Jordan abstained.\n"
    )
    assert [" ".join(s.split()) for s in texts(text)] == [
        "The council renewed the arms embargo on Libya on Thursday, and the United Nations envoy welcomed it.",
        "The prime minister said that his country would ask again.",
        "Egypt and Jordan abstained.",
    ]


def test_a_line_that_goes_on_is_joined_to_the_next() -> None:
    assert texts("TUNIS—The\nUnited States agreed.\nIt was asked\nto.") == [
        "TUNIS—The\nUnited States agreed.",
        "It was asked\nto.",
    ]


def test_context_is_what_came_before() -> None:
    first, second, third = split_sentences("It met. He\nspoke. She left.", doc="a")
    assert (first.context, second.context, third.context) == ("", "It met.", "It met.\nHe spoke.")
    assert {s.doc for s in (first, second, third)} == {"a"}


def test_contexts_of_a_long_text_stay_short_and_begin_together() -> None:
    contexts = [s.context.splitlines() for s in split_sentences("\n\n".join(f"It met {i}." for i in range(250)))]
    assert all(len(context) == i for i, context in enumerate(contexts[:100]))
    assert {context[0] for context in contexts[100:200]} == {"It met 90."}
    assert {context[0] for context in contexts[200:]} == {"It met 190."}
    assert all(context[-1] == f"It met {i - 1}." for i, context in enumerate(contexts) if i)


@pytest.mark.parametrize("text", ["", " \n\r\n\t \u2028", "\x00", "…", "\ud800. A."])
def test_little_text(text: str) -> None:
    assert "".join("".join(texts(text)).split()) == "".join(text.split())


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters() | st.sampled_from(list(" \n\r.!?\"“”'’…。؟\u2028\u0085")), max_size=200))
def test_offsets_give_back_the_sentences_and_nothing_is_lost(text: str) -> None:
    end = 0
    for sentence in split_sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text
        assert sentence.text == sentence.text.strip() != ""
        assert text[end : sentence.start].strip() == ""
        end = sentence.end
    assert text[end:].strip() == ""


def boundary_f1(documents: list[tuple[str, set[int]]]) -> float:
    """F1 of sentence ends, over (text, gold ends)."""
    hits = found = wanted = 0
    for text, gold in documents:
        ends = {s.end for s in split_sentences(text)}
        hits, found, wanted = hits + len(ends & gold), found + len(ends), wanted + len(gold)
    return 2 * hits / (found + wanted)


def test_boundaries_of_the_corpus_documents() -> None:
    folder = Path("data/corpus")
    rows = [r for r in read_corpus(folder, TaskSpec()) if r["file"] not in ("contrast_sets", "hard_cases")]
    split_of = read_splits(Path("data/splits.json"), {row["doc"] for row in read_corpus(folder, TaskSpec())})
    documents: dict[str, tuple[str, set[int]]] = {}
    for row in rows:
        if split_of[row["doc"]] == "validation":
            text, ends = documents.get(row["doc"], ("", set()))
            text = f"{text} {row['text']}" if text else row["text"]
            documents[row["doc"]] = (text, ends | {len(text)})
    assert boundary_f1(list(documents.values())) >= 0.96


def test_boundaries_of_the_press_articles() -> None:
    folder = articles_folder()
    if not any(folder.glob("*.txt")):
        pytest.skip("the articles' text is not at hand (STANCE_ARTICLES)")
    rows = read_articles(Path("data/articles/labels.jsonl"), folder, TaskSpec())
    documents = [
        ((folder / doc).read_text(encoding="utf-8"), {r["end"] for r in rows if r["doc"] == doc})
        for doc in sorted({row["doc"] for row in rows})
    ]
    assert boundary_f1(documents) >= 0.97
