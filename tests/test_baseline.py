"""The packaged baseline: made by one command, and made again the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from stance import load
from stance.data.corpus import load_corpus
from stance.data.labelled import fingerprint, sentences
from stance.models.settings import TfidfSettings
from stance.models.tfidf import NgramVectorizer, TfidfModel
from stance.prediction import PRETRAINED
from stance.schema import TaskSpec
from stance.training import fit


def test_training_again_gives_the_packaged_model(tmp_path: Path) -> None:
    description = json.loads((PRETRAINED / "model.json").read_text())
    assert description["settings"] == vars(TfidfSettings())
    corpus = load_corpus(Path("data/corpus"), Path("data/splits.json"), TaskSpec())
    assert description["training_data"]["sha256"] == fingerprint(corpus["train"])
    model = fit(
        corpus["train"],
        None,
        task=TaskSpec(),
        settings=TfidfSettings(),
        seed=description["seed"],
        checkpoints=tmp_path,
    )
    test = sentences(corpus["test"])
    again, packaged = model.predict_proba(test), load(PRETRAINED).predict_proba(test)
    assert (again.argmax(axis=1) == packaged.argmax(axis=1)).all()
    np.testing.assert_allclose(again, packaged, atol=1e-4)


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
