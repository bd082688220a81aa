"""The TF-IDF baseline: word and character n-grams, a linear SVM, sigmoid calibration."""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stance.models.base import BATCH_SIZE, CardText, Fitted, ModelKind, batches
from stance.schema import Attribution, LabelledSentences, MissingExtraError, Sentence, StanceError, TaskSpec

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


@dataclass
class TfidfSettings:
    """Hyperparameters of the baseline.

    Args:
        word_ngrams: longest word n-gram; punctuation marks count as words.
        word_features: how many of the most frequent word n-grams are kept.
        char_ngrams: longest character n-gram (the shortest has two characters), within words.
        char_features: how many of the most frequent character n-grams are kept.
        char_weight: weight of the character features beside the words' 1.
        C: inverse regularization strength of the SVM.

    Raises:
        StanceError: if a value is out of its range.
    """

    kind: ClassVar[str] = "tfidf"

    word_ngrams: int = 3
    word_features: int = 70_000
    char_ngrams: int = 5
    char_features: int = 40_000
    char_weight: float = 0.5
    C: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("word_ngrams", 1), ("word_features", 1), ("char_ngrams", 2), ("char_features", 1)):
            if getattr(self, name) < least:
                raise StanceError(f"model.{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("char_weight", "C"):
            if not 0 < getattr(self, name) < math.inf:
                raise StanceError(f"model.{name} must be positive, not {getattr(self, name)}")


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

    explains_at_once = True

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


def fit_tfidf(train: LabelledSentences, *, task: TaskSpec, settings: TfidfSettings, seed: int) -> TfidfModel:
    """Fit the baseline.

    The SVM's scores become probabilities by a sigmoid per label (Platt 1999), fitted on out-of-fold scores of
    a cross-validation grouped by document, so that no sentence calibrates a score that its own document
    taught. Labels weigh inversely to their frequency. There is no stop-word list: "no", "not", "against" and
    "should" carry the stance.

    Args:
        train: the sentences with their documents, labels and weights.
        task: the labels.
        settings: hyperparameters.
        seed: governs the folds and the SVM's coordinate order.

    Returns:
        The fitted model.

    Raises:
        StanceError: if a label of the task occurs in fewer than two documents.
    """
    texts, documents = ([getattr(s, name) for s in train.sentences] for name in ("text", "doc"))
    labels = [task.labels[number] for number in train.labels]
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
    pipeline.fit(texts, labels, classifier__sample_weight=np.array(train.weights))
    classifier.set_params(cv=None)  # the folds' row numbers are no part of the model, and are most of its size
    svm = classifier.calibrated_classifiers_[0].estimator
    svm.coef_ = svm.coef_.astype(np.float32)  # half the file; probabilities move by less than 1e-6
    return TfidfModel(pipeline, task)


def _fit(
    train: LabelledSentences, _: None, *, task: TaskSpec, settings: TfidfSettings, seed: int, resume: bool, **__: Any
) -> Fitted:
    if resume:
        raise StanceError("the baseline trains in seconds and has nothing to resume; leave resume=true out")
    model = fit_tfidf(train, task=task, settings=settings, seed=seed)
    return Fitted(model, model.save)


def _card(settings: TfidfSettings) -> CardText:
    return CardText(
        title="TF-IDF baseline",
        method="Word and character n-grams (TF-IDF), a linear support vector machine, sigmoid calibration.",
        use="The folder is read with skops against a list of allowed types; nothing in it is unpickled.",
        limits="It counts words, and reads each sentence without those before it. It errs where negation stands at a "
        "distance, on the scope of conditions, on who is quoted, and where only the context makes the stance plain.",
    )


KIND = ModelKind(
    settings=TfidfSettings,
    files=(PIPELINE_FILE,),
    packages=("numpy", "scikit-learn", "skops"),
    load=TfidfModel.load,
    fit=_fit,
    needs_validation=False,
    card=_card,
)
