"""What a model is, and the kinds of models there are: each kind is registered once, in `KINDS`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from stance.schema import Attribution, Sentence, StanceError, TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH_SIZE = 1024
# Kind to the module that has its `KIND`. A new kind of model is a module and a line here.
KINDS = {"tfidf": "stance.models.tfidf", "transformer": "stance.models.transformer.kind"}


class StanceModel(Protocol):
    """A trained model. Instances are read-only, so threads may share one."""

    task: TaskSpec
    # Whether `explain` takes no longer than a prediction, so that a report can explain every sentence.
    explains_at_once: bool

    def predict_proba(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> NDArray[np.float64]:
        """Calibrated probabilities of any number of sentences.

        Those of a sentence depend on its text and its context only, not on the other sentences.

        Args:
            sentences: what to classify.
            batch_size: how many are held as features at a time. It bounds memory and does not change the result.
            progress: whether to show a progress bar, on a terminal.

        Returns:
            Shape (sentences, labels), columns in the order of `task.labels`.
        """
        ...

    def read(
        self, sentences: Sequence[Sentence], *, batch_size: int = BATCH_SIZE, progress: bool = False
    ) -> tuple[NDArray[np.float64], list[str | None]]:
        """Calibrated probabilities, and whose stance each sentence expresses.

        Args:
            sentences: what to classify.
            batch_size: as for `predict_proba`.
            progress: likewise.

        Returns:
            What `predict_proba` gives, and for each sentence the holder, as the sentence or its context names it, or
            "author"; None where the most probable label is no stance, or the model does not look for holders.
        """
        ...

    def explain(self, sentences: Sequence[Sentence], labels: Sequence[str]) -> list[list[Attribution]]:
        """What the parts of each sentence contribute to one label, in the order of the sentence.

        Args:
            sentences: the sentences.
            labels: for each sentence, one of `task.labels`.
        """
        ...


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Args:
        model: the model, ready to predict.
        save: writes its files into an existing folder.
    """

    model: StanceModel
    save: Callable[[Path], None]


class Settings(Protocol):
    """Hyperparameters of a model: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    # The kind of model that they are for, one of `KINDS`.
    kind: ClassVar[str]


@dataclass(frozen=True)
class CardText:
    """What the card of a model says of its kind, in Markdown.

    Args:
        title: name of the kind.
        method: how it works.
        use: what a user should know when predicting.
        limits: where it errs.
        base_model: Hub id of the pretrained encoder; None without one.
    """

    title: str
    method: str
    use: str
    limits: str
    base_model: str | None = None


@dataclass(frozen=True)
class ModelKind:
    """A kind of model: how it is trained, saved, loaded and described.

    Args:
        settings: the dataclass of its hyperparameters, which `conf/model/` is checked against.
        files: the files that a model folder needs.
        packages: the packages whose versions `model.json` keeps.
        load: reads a model of a folder, given the folder and the task; raises a ValueError if it cannot.
        fit: trains a model: `fit(train, validation, *, task, settings, seed, checkpoints, resume)`, with
            `LabelledSentences`; returns `Fitted`, or None in all but the first of several processes.
        needs_validation: whether `fit` needs validation sentences. Else it is given None.
        card: the text of the card, given the settings.
    """

    settings: type
    files: tuple[str, ...]
    packages: tuple[str, ...]
    load: Callable[[Path, TaskSpec], StanceModel]
    fit: Callable[..., Fitted | None]
    needs_validation: bool
    card: Callable[[Any], CardText]


def model_kind(name: str) -> ModelKind:
    """Return the kind of model of a name.

    Raises:
        StanceError: if there is none, or its packages are not installed.
    """
    if name not in KINDS:
        raise StanceError(f"there is no kind of model {name!r}; this version of stance knows: {', '.join(KINDS)}")
    kind: ModelKind = importlib.import_module(KINDS[name]).KIND
    return kind


def batches(count: int, size: int, progress: bool) -> Iterator[slice]:
    """Slices of at most `size` that cover `count` items, with a progress bar on a terminal where it is wanted."""
    from tqdm import tqdm

    starts = range(0, count, size)
    for start in tqdm(starts, desc="scoring", unit="batch", leave=False, disable=None if progress else True):
        yield slice(start, min(start + size, count))
