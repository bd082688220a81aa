"""Behavioural tests: the cases in the repository, those made of sentences, and how they are judged."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import write_jsonl

from stance.data.parts import load_parts
from stance.evaluation.behaviour import Case, make_invariance_cases, read_cases, run_cases
from stance.schema import LABELS, Attribution, Sentence, StanceError, TaskSpec

FOLDER = Path("data/behaviour")


class Keywords:
    """Says `for` where it reads "lift", else `none`; each "if", up to two, makes `conditional` more probable."""

    task = TaskSpec()
    explains_at_once = False

    def predict_proba(self, sentences: Sequence[Sentence], **_: object) -> np.ndarray:
        rows = []
        for s in sentences:
            conditional = 0.1 * min(2, s.text.split().count("if"))
            rest = 1 - conditional
            rows.append([0.9 * rest, 0, conditional, 0.1 * rest] if "lift" in s.text else [0, 0, conditional, rest])
        return np.array(rows)

    def read(self, sentences: Sequence[Sentence], **_: object) -> tuple[np.ndarray, list[str | None]]:
        return self.predict_proba(sentences), [None] * len(sentences)

    def explain(self, sentences: Sequence[Sentence], labels: Sequence[str]) -> list[list[Attribution]]:
        return [[] for _ in sentences]


def test_the_repository_has_cases_of_every_kind() -> None:
    cases = read_cases(FOLDER, TaskSpec())
    assert len(cases) >= 300
    assert len({case.capability for case in cases}) >= 20
    assert len({(c.sentence, c.variant) for c in cases}) == len(cases)
    assert {case.kind for case in cases} == {"minimum_functionality", "polarity", "invariance", "direction"}
    assert sum(case.kind == "polarity" for case in cases) >= 80
    assert {case.label for case in cases if case.kind == "minimum_functionality"} == set(LABELS)


def test_no_case_is_a_sentence_of_the_corpus() -> None:
    corpus = load_parts(["corpus"], TaskSpec())
    known = {text.lower() for split in corpus.values() for text in split.column("text")}
    assert not [c.sentence.text for c in read_cases(FOLDER, TaskSpec()) if c.sentence.text.lower() in known]


def test_each_kind_is_judged_by_its_rule() -> None:
    cases = [
        Case("minimum_functionality", "plain", Sentence("lift it"), "for"),
        Case("minimum_functionality", "plain", Sentence("keep it"), "against"),
        Case("polarity", "blocked bids", Sentence("blocked a bid to lift it"), "against"),
        Case("invariance", "synonyms", Sentence("lift it"), variant=Sentence("please lift it")),
        Case("invariance", "synonyms", Sentence("lift it"), variant=Sentence("end it")),
        Case("direction", "conditions", Sentence("lift it"), "conditional", Sentence("lift it if they disarm")),
        Case("direction", "conditions", Sentence("lift it if so"), "conditional", Sentence("lift it if they disarm")),
    ]
    results = run_cases(Keywords(), cases)
    assert {name: (r["cases"], r["passed"], r["pass_rate"]) for name, r in results.items()} == {
        "plain": (2, 1, 0.5),
        "blocked bids": (1, 0, 0.0),
        "synonyms": (2, 1, 0.5),
        "conditions": (2, 1, 0.5),
    }
    assert [(r["failures"][0]["expected"], r["failures"][0]["found"]) for r in results.values()] == [
        ("against", "none"),
        ("against", "for"),
        ("for", "none"),
        ("conditional more probable", "0.100, then 0.100"),
    ]


def test_made_pairs_differ_in_what_they_say_they_do() -> None:
    corpus = load_parts(["corpus"], TaskSpec())
    made = make_invariance_cases(corpus["validation"].sentences, seed=1)
    assert made == make_invariance_cases(corpus["validation"].sentences, seed=1)
    assert made != make_invariance_cases(corpus["validation"].sentences, seed=2)
    for case in made:
        assert case.variant is not None
        text, variant = case.sentence.text, case.variant.text
        assert text != variant
        assert case.variant.context == case.sentence.context
        if case.capability == "lower case":
            assert variant == text.lower()
        elif case.capability == "a typing error":
            assert Counter(text) == Counter(variant)
        elif case.capability == "other quotation marks":
            assert [c for c in text if c.isalnum()] == [c for c in variant if c.isalnum()]
        else:
            assert len(text.split()) == len(variant.split())
    assert len({case.capability for case in made}) == 6


def test_what_follows_a_title_may_be_no_name() -> None:
    made = make_invariance_cases([Sentence("The General Assembly met the General National Congress.")], seed=1)
    assert "other people" not in {case.capability for case in made}


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("Egypt and Chad want it, and Egypt more so.", {0: 1, 2: 1}),
        ("General Haftar said that Haftar was ready.", {1: 1, 4: 1}),
    ],
)
def test_a_name_is_exchanged_wherever_it_stands(text: str, variant: dict[int, int]) -> None:
    made = [
        c.variant.text for c in make_invariance_cases([Sentence(text)], seed=1) if c.variant and "other" in c.capability
    ]
    words, changed = text.split(), made[0].split()
    differing = [i for i, (a, b) in enumerate(zip(words, changed, strict=True)) if a != b]
    assert set(variant) <= set(differing)


@pytest.mark.parametrize(
    ("file", "row", "reason"),
    [
        ("minimum_functionality", {"capability": "a", "text": "b", "label": "maybe"}, "'label' is 'maybe', not one of"),
        ("minimum_functionality", {"capability": "a", "text": " ", "label": "for"}, "'text' is blank"),
        ("polarity", {"capability": "a", "text": "b"}, "no column 'label'"),
        ("invariance", {"capability": "a", "text": "b"}, "no column 'variant'"),
        ("direction", {"capability": "a", "text": "b", "variant": "c", "toward": 1}, "'toward' must be a string"),
        ("direction", {"capability": "a", "text": "b", "variant": "c", "toward": "for", "context": 1}, "'context'"),
    ],
)
def test_a_bad_case_is_named_by_file_and_line(file: str, row: dict[str, object], reason: str, tmp_path: Path) -> None:
    good = {"capability": "a", "text": "b", "variant": "c", "label": "for", "toward": "for"}
    path = write_jsonl(tmp_path / f"{file}.jsonl", [good, row])
    with pytest.raises(StanceError, match=f"{path}:2: {reason}"):
        read_cases(tmp_path, TaskSpec())


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="holds no behavioural tests"):
        read_cases(tmp_path, TaskSpec())


def test_cases_of_another_task_are_left_out() -> None:
    assert read_cases(FOLDER, TaskSpec(("agree", "disagree"), ("agree",))) == []
