"""The TF-IDF baseline on the real corpus, and as it is saved."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_rows, write_jsonl

from stance import load
from stance.data.labelled import load_files
from stance.data.parts import load_parts
from stance.evaluation.score import score
from stance.models.tfidf import NgramVectorizer, TfidfModel, TfidfSettings, fit_tfidf
from stance.schema import LABELS, LabelledSentences, Sentence, TaskSpec
from stance.training import fit


def test_it_scores_what_the_documentation_says_it_does(tmp_path: Path) -> None:
    corpus = load_parts(["corpus"], TaskSpec())
    fitted = fit(corpus["train"], None, task=TaskSpec(), settings=TfidfSettings(), seed=1, checkpoints=tmp_path)
    assert fitted is not None
    assert score(fitted.model, corpus["test"], seed=1).metrics["macro_f1"] == pytest.approx(0.630, abs=0.001)


def test_a_weight_of_two_is_a_sentence_twice() -> None:
    def fitted(times: int, weight: float) -> TfidfModel:
        rows = [row for _ in range(times) for row in tiny_rows()]
        items = [Sentence(str(row["text"]), doc=str(row["doc"])) for row in rows]
        data = LabelledSentences(items, [LABELS.index(str(row["label"])) for row in rows], [weight] * len(rows))
        return fit_tfidf(data, task=TaskSpec(), settings=TfidfSettings(), seed=1)

    items = [Sentence("Peru urged the Council to renew the embargo if one army talks.")]
    once, twice, plain = (fitted(*of).predict_proba(items) for of in ((1, 2.0), (2, 1.0), (1, 1.0)))
    np.testing.assert_allclose(once, twice, atol=0.02)
    assert np.abs(once - plain).max() > 0.02


def test_saving_and_loading_changes_no_probability(tiny_model: Path, tmp_path: Path) -> None:
    model = load(tiny_model)
    assert isinstance(model, TfidfModel)
    model.save(tmp_path)
    items = load_parts(["corpus"], TaskSpec())["validation"].sentences[:50]
    again = TfidfModel.load(tmp_path, model.task)
    np.testing.assert_array_equal(again.predict_proba(items), model.predict_proba(items))


@pytest.mark.parametrize(
    "options", [{"token_pattern": r"(?u)\w+|[^\w\s]"}, {"analyzer": "char_wb"}], ids=["words", "characters"]
)
def test_no_ngram_of_awkward_text_breaks_the_saved_vocabulary(options: dict[str, str]) -> None:
    text = ["a\nb", "\r\n \u2028 x\u0085y \t\t z", "\u00a0—“q”", "one\n\ntwo"]
    vectorizer = NgramVectorizer(ngram_range=(1, 3), **options).fit(text)
    restored = NgramVectorizer()
    restored.__setstate__(vectorizer.__getstate__())
    assert restored.vocabulary_ == vectorizer.vocabulary_


AWKWARD = ["Lift it, lift IT — now!", "a\u2028b  c", "İstanbul'da ΣΑΣ ß ﬁ", "x", "“No” — “no”, no arms"]


@pytest.mark.parametrize("text", AWKWARD)
def test_the_spans_are_those_of_scikit_learns_ngrams(text: str) -> None:
    for options in ({"token_pattern": r"(?u)\w+|[^\w\s]"}, {"analyzer": "char_wb"}):
        vectorizer = NgramVectorizer(ngram_range=(2, 4), **options)
        spans = list(vectorizer.spans(text))
        assert Counter(ngram for ngram, _, _ in spans) == Counter(vectorizer.build_analyzer()(text))
        assert all(0 <= start < end <= len(text) for _, start, end in spans)


@pytest.mark.parametrize("labels", [LABELS, ("for", "against")], ids=["four labels", "two labels"])
def test_the_contributions_sum_to_the_score(labels: tuple[str, ...], tmp_path: Path) -> None:
    rows = [row for row in tiny_rows() if row["label"] in labels]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    task = TaskSpec(labels, labels[:2])
    dataset = load_files({"train": file}, task, seed=1)["train"]
    model = fit_tfidf(dataset.weighted(1.0), task=task, settings=TfidfSettings(), seed=1)
    svm = model.pipeline[-1].calibrated_classifiers_[0].estimator
    for text in [*AWKWARD, str(rows[0]["text"])]:
        scores = np.atleast_1d(svm.decision_function(model.pipeline[0].transform([text]))[0])
        for label in labels:
            column = list(svm.classes_).index(label)
            score, intercept = (
                (scores[column], svm.intercept_[column])
                if len(labels) > 2
                else ((1, -1)[column == 0] * scores[0], (1, -1)[column == 0] * svm.intercept_[0])
            )
            (explanation,) = model.explain([Sentence(text)], [label])
            assert sum(a.weight for a in explanation) + intercept == pytest.approx(score)
            assert [(a.start, a.end) for a in explanation] == sorted((a.start, a.end) for a in explanation)
