"""The TF-IDF baseline on the real corpus, and as it is saved."""

from pathlib import Path

import numpy as np
import pytest

from stance import load
from stance.data.corpus import load_corpus
from stance.data.labelled import sentences
from stance.evaluation.evaluate import score
from stance.models.settings import TfidfSettings
from stance.models.tfidf import NgramVectorizer, TfidfModel
from stance.schema import TaskSpec
from stance.training import fit


def test_it_scores_what_the_documentation_says_it_does(tmp_path: Path) -> None:
    corpus = load_corpus(Path("data/corpus"), Path("data/splits.json"), TaskSpec())
    model = fit(corpus["train"], None, task=TaskSpec(), settings=TfidfSettings(), seed=1, checkpoints=tmp_path)
    assert score(model, corpus["test"], seed=1)[0]["macro_f1"] == pytest.approx(0.776, abs=0.001)


def test_saving_and_loading_changes_no_probability(tiny_model: Path, tmp_path: Path) -> None:
    model = load(tiny_model)
    assert isinstance(model, TfidfModel)
    model.save(tmp_path)
    items = sentences(load_corpus(Path("data/corpus"), Path("data/splits.json"), TaskSpec())["validation"])[:50]
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
