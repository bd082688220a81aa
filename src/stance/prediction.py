"""`predict` and `load`: from sentences to labels with calibrated probabilities.

Nothing heavy is imported before the first prediction.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from stance.models.base import BATCH_SIZE
from stance.schema import Prediction, Sentence

if TYPE_CHECKING:
    from stance.models.base import StanceModel

PRETRAINED = Path(__file__).parent / "pretrained"
_loaded: dict[tuple[Path, int], StanceModel] = {}
_loading = threading.Lock()


def model_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """The given model folder; without one that of `$STANCE_MODEL`, else the one that ships in the package."""
    return Path(folder or os.environ.get("STANCE_MODEL") or PRETRAINED).resolve()


def load(folder: str | os.PathLike[str] | None = None) -> StanceModel:
    """Load a model folder; the same unchanged folder is read from disk once per process.

    Args:
        folder: a model folder, or None as in `model_folder`.

    Returns:
        The model, for `predict(..., model=...)`. Threads may share it.

    Raises:
        ModelFolderError: if the folder is missing, damaged, altered, or made by an incompatible version.
    """
    from stance.models.folder import MODEL_FILE, load_model

    path = model_folder(folder)
    with _loading:
        try:
            key = (path, (path / MODEL_FILE).stat().st_mtime_ns)
        except OSError:
            return load_model(path)  # which says what is wrong
        if key not in _loaded:
            _loaded[key] = load_model(path)
        return _loaded[key]


@overload
def predict(  # type: ignore[overload-overlap]  # a string is an iterable of strings, and comes first
    text: str,
    *,
    context: str | None = None,
    model: str | os.PathLike[str] | StanceModel | None = None,
    min_confidence: float = 0.0,
    explain: bool = False,
    batch_size: int = BATCH_SIZE,
) -> Prediction: ...


@overload
def predict(
    text: Iterable[str],
    *,
    context: Sequence[str | None] | None = None,
    model: str | os.PathLike[str] | StanceModel | None = None,
    min_confidence: float = 0.0,
    explain: bool = False,
    batch_size: int = BATCH_SIZE,
) -> list[Prediction]: ...


def predict(
    text: str | Iterable[str],
    *,
    context: str | Sequence[str | None] | None = None,
    model: str | os.PathLike[str] | StanceModel | None = None,
    min_confidence: float = 0.0,
    explain: bool = False,
    batch_size: int = BATCH_SIZE,
) -> Prediction | list[Prediction]:
    """Classify the stance of one sentence, or of each of several.

    Args:
        text: a sentence, or sentences.
        context: the text before the sentence, best with a sentence a line; for several, as many texts or `None`. A
            transformer lets the sentence see the last few lines, which have seen those before them. Sentences in a row
            with the whole text before each share that work. The TF-IDF baseline ignores context.
        model: a model folder, a model that `load` gave, or nothing: then as in `load`.
        min_confidence: below this probability of the most probable label, 0 to 1, `Prediction.label` is None, so that a
            human can decide. A report says what share of sentences is left at each threshold, and how right they are.
        explain: whether to say what spoke for the most probable label, in `Prediction.explanation`: for the TF-IDF
            baseline the n-grams, for a transformer the words, each of which costs a prediction of its own. See
            `explain` of the models for what the weights mean.
        batch_size: how many sentences are held as features at a time. It bounds memory. It does not change the result,
            and neither does any other sentence of the list.

    Returns:
        One `Prediction` for a string; else a list, in the order of the sentences, also of one, also empty.

    Raises:
        TypeError: if a sentence or a context is not a string; names its index.
        ValueError: if a sentence is blank (names its index), if there are not as many contexts as
            sentences, if `batch_size` is not positive, or `min_confidence` not from 0 to 1.
        ModelFolderError: as `load`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence must be from 0 to 1, not {min_confidence}")
    if isinstance(text, str):
        if context is not None and not isinstance(context, str):
            raise TypeError(f"context must be a string, as text is one, not {type(context).__name__}")
        sentences = [_sentence(text, context, "")]
    else:
        sentences = list(_sentences(text, context))
    if not sentences:
        return []
    if model is None or isinstance(model, (str, os.PathLike)):
        model = load(model)
    predictions = classify(sentences, model, min_confidence=min_confidence, explain=explain, batch_size=batch_size)
    return predictions[0] if isinstance(text, str) else predictions


def classify(
    sentences: Sequence[Sentence],
    model: StanceModel,
    *,
    min_confidence: float = 0.0,
    explain: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> list[Prediction]:
    """The predictions of a model for sentences; see `predict`, which checks what it is given."""
    probabilities, holders = model.read(sentences, batch_size=batch_size, progress=progress)
    labels = model.task.labels
    best = [labels[number] for number in probabilities.argmax(axis=1).tolist()]
    explanations = model.explain(sentences, best) if explain else None
    predictions = []
    for i, label in enumerate(best):
        of_labels = dict(zip(labels, probabilities[i].tolist(), strict=True))
        explanation = tuple(explanations[i]) if explanations else None
        sure = of_labels[label] >= min_confidence
        predictions.append(Prediction(label if sure else None, of_labels, holders[i] if sure else None, explanation))
    return predictions


def _sentences(texts: Iterable[str], contexts: str | Sequence[str | None] | None) -> Iterator[Sentence]:
    if isinstance(texts, (bytes, dict)) or not isinstance(texts, Iterable):
        raise TypeError(f"text must be a string or a list of strings, not {type(texts).__name__}")
    texts = list(texts)
    if contexts is None:
        contexts = [None] * len(texts)
    elif isinstance(contexts, str):
        raise TypeError("context must be a list, as text is one: one text or None for each sentence")
    elif len(contexts) != len(texts):
        raise ValueError(f"context must be as long as text: {len(contexts)} contexts, {len(texts)} sentences")
    for index, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        yield _sentence(text, context, f"[{index}]")


def _sentence(text: str, context: str | None, index: str) -> Sentence:
    if not isinstance(text, str):
        raise TypeError(f"text{index} must be a string, not {type(text).__name__}")
    if not text.strip():
        raise ValueError(f"text{index} is blank")
    if context is not None and not isinstance(context, str):
        raise TypeError(f"context{index} must be a string or None, not {type(context).__name__}")
    return Sentence(text, context or "")
