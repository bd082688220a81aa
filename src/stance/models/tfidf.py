"""The TF-IDF baseline: word and character n-grams, a linear SVM, sigmoid calibration."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.models import BATCH_SIZE, batches
from stance.models.settings import TfidfSettings
from stance.schema import Attribution, MissingExtraError, Sentence, StanceError, TaskSpec

try:
    import skops.io
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.exceptions import InconsistentVersionWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.svm import LinearSVC
    from skops.io.exceptions import UntrustedTypesFoundException
except ImportError as error:
    raise MissingExtraError("the TF-IDF baseline", "tfidf") from error

PIPELINE_FILE = "pipeline.skops"
CALIBRATION_FOLDS = 5
# The types beyond skops' own list that a pipeline file may hold.
TRUSTED = [
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "stance.models.tfidf.NgramVectorizer",
]


class NgramVectorizer(TfidfVectorizer):  # type: ignore[misc]
    """A TfidfVectorizer whose saved state holds the vocabulary as one string.

    skops writes a dict as one JSON node per entry, which takes seconds to read back for tens of thousands
    of n-grams; one string takes milliseconds. No n-gram holds a line break.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__().copy()
        if "vocabulary_" in state:
            state["vocabulary_"] = "\n".join(sorted(self.vocabulary_, key=self.vocabulary_.__getitem__))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "vocabulary_" in state:
            state["vocabulary_"] = {ngram: i for i, ngram in enumerate(state["vocabulary_"].split("\n"))}
        super().__setstate__(state)

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Every n-gram of a text, as scikit-learn's analyzer gives them, with where it begins and ends in the text."""
        lower = text.lower()
        origin = [i for i, character in enumerate(text) for _ in character.lower()]  # "İ" becomes two characters
        least, most = self.ngram_range
        if self.analyzer == "word":
            tokens = list(re.finditer(self.token_pattern, lower))
            for n in range(least, most + 1):
                for i in range(len(tokens) - n + 1):
                    part = tokens[i : i + n]
                    yield " ".join(t.group() for t in part), origin[part[0].start()], origin[part[-1].end() - 1] + 1
            return
        for word in re.finditer(r"\S+", lower):
            padded = f" {word.group()} "
            for n in range(least, most + 1):
                for offset in range(max(1, len(padded) - n + 1)):
                    start = max(word.start() + offset - 1, word.start())
                    end = min(word.start() + offset - 1 + n, word.end())
                    yield padded[offset : offset + n], origin[start], origin[end - 1] + 1
                if n >= len(padded):
                    break  # a short word is counted once


class TfidfModel:
    """A fitted baseline. It reads single sentences: context is ignored.

    Args:
        pipeline: a fitted scikit-learn pipeline from texts to probabilities.
        task: its classes are `task.labels`, in any order.
    """

    kind = "tfidf"
    explains_at_once = True
    files = (PIPELINE_FILE,)
    packages: tuple[str, ...] = ("numpy", "scikit-learn", "skops")

    def __init__(self, pipeline: Pipeline, task: TaskSpec) -> None:
        self.pipeline = pipeline
        self.task = task
        classes = list(pipeline.classes_)
        self._columns = [classes.index(label) for label in task.labels]

    def predict_proba(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> NDArray[np.float64]:
        """See `StanceModel`."""
        probabilities = np.empty((len(sentences), len(self.task.labels)))
        for batch in batches(len(sentences), batch_size, progress):
            probabilities[batch] = self.pipeline.predict_proba([s.text for s in sentences[batch]])[:, self._columns]
        return probabilities

    def read(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> tuple[NDArray[np.float64], list[str | None]]:
        """See `StanceModel`: the baseline does not look for holders."""
        return self.predict_proba(sentences, batch_size=batch_size, progress=progress), [None] * len(sentences)

    def explain(self, sentences: Sequence[Sentence], labels: Sequence[str]) -> list[list[Attribution]]:
        """The n-grams that the model knows: their weights and the SVM's intercept sum to its score for the label.

        An n-gram that occurs more than once has its weight split evenly. Spaces that mark a word's edge are shown.
        """
        features, classifier = self.pipeline[0], self.pipeline[-1]
        svm = classifier.calibrated_classifiers_[0].estimator
        of_labels = svm.coef_ if len(svm.coef_) > 1 else (-svm.coef_[0], svm.coef_[0])  # of two it scores the second
        explanations = []
        for sentence, label, values in zip(
            sentences, labels, features.transform([s.text for s in sentences]), strict=True
        ):
            weights = of_labels[self._columns[self.task.labels.index(label)]]
            value_of = dict(zip(values.indices.tolist(), (values.data * weights[values.indices]).tolist(), strict=True))
            found: list[Attribution] = []
            first = 0
            for _, vectorizer in features.transformer_list:
                number_of = vectorizer.vocabulary_.get
                spans = [
                    (*span, number)
                    for span in vectorizer.spans(sentence.text)
                    if (number := number_of(span[0])) is not None
                ]
                count = Counter(ngram for ngram, *_ in spans)
                found += [
                    Attribution(ngram, start, end, value_of[first + number] / count[ngram])
                    for ngram, start, end, number in spans
                ]
                first += len(vectorizer.vocabulary_)
            explanations.append(sorted(found, key=lambda a: (a.start, a.end)))
        return explanations

    def save(self, folder: Path) -> None:
        """Write the pipeline into an existing folder."""
        skops.io.dump(self.pipeline, folder / PIPELINE_FILE, compression=zipfile.ZIP_DEFLATED, compresslevel=9)

    @classmethod
    def load(cls, folder: Path, task: TaskSpec) -> TfidfModel:
        """Read the pipeline of a model folder. Nothing is unpickled.

        Raises:
            ValueError: if the file holds a type that no baseline has.
        """
        with warnings.catch_warnings():
            # Tests hold the predictions to be the same under the pinned scikit-learn and the newest.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            try:
                return cls(skops.io.load(folder / PIPELINE_FILE, trusted=TRUSTED), task)
            except UntrustedTypesFoundException as error:
                raise ValueError(str(error)) from None


def fit_tfidf(
    texts: Sequence[str],
    labels: Sequence[str],
    documents: Sequence[str],
    *,
    task: TaskSpec,
    settings: TfidfSettings,
    seed: int,
    weights: Sequence[float] | None = None,
) -> TfidfModel:
    """Fit the baseline.

    The SVM's scores become probabilities by a sigmoid per label (Platt 1999), fitted on out-of-fold scores of
    a cross-validation grouped by document, so that no sentence calibrates a score that its own document
    taught. Labels weigh inversely to their frequency. There is no stop-word list: "no", "not", "against" and
    "should" carry the stance.

    Args:
        texts: the sentences.
        labels: their labels.
        documents: their documents' names.
        task: the labels.
        settings: hyperparameters.
        seed: governs the folds and the SVM's coordinate order.
        weights: how much each sentence counts; None weighs all the same.

    Returns:
        The fitted model.

    Raises:
        StanceError: if a label of the task occurs in fewer than two documents.
    """
    documents_of = {label: {d for d, y in zip(documents, labels, strict=True) if y == label} for label in task.labels}
    rarest = min(task.labels, key=lambda label: len(documents_of[label]))
    folds = min(CALIBRATION_FOLDS, len(documents_of[rarest]))
    if folds < 2:
        raise StanceError(
            f"label {rarest!r} occurs in {len(documents_of[rarest])} training document(s), and calibration by "
            "document needs at least 2: add labelled rows, or leave the label out of task.labels"
        )
    features = FeatureUnion(
        [
            (
                "words",
                NgramVectorizer(
                    ngram_range=(1, settings.word_ngrams),
                    token_pattern=r"(?u)\w+|[^\w\s]",
                    max_features=settings.word_features,
                    sublinear_tf=True,
                ),
            ),
            (
                "characters",
                NgramVectorizer(
                    analyzer="char_wb",
                    ngram_range=(2, settings.char_ngrams),
                    max_features=settings.char_features,
                    sublinear_tf=True,
                ),
            ),
        ],
        transformer_weights={"words": 1.0, "characters": settings.char_weight},
    )
    by_document = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    classifier = CalibratedClassifierCV(
        LinearSVC(C=settings.C, class_weight="balanced", random_state=seed),
        method="sigmoid",
        cv=list(by_document.split(texts, labels, documents)),
        ensemble=False,
    )
    pipeline = Pipeline([("features", features), ("classifier", classifier)])
    pipeline.fit(texts, labels, classifier__sample_weight=weights)
    classifier.set_params(cv=None)  # the folds' row numbers are no part of the model, and are most of its size
    svm = classifier.calibrated_classifiers_[0].estimator
    svm.coef_ = svm.coef_.astype(np.float32)  # half the file; probabilities move by less than 1e-6
    return TfidfModel(pipeline, task)
