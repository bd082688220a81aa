"""What a model is: anything that turns sentences into one probability per label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from stance.schema import Attribution, Sentence, TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH_SIZE = 1024


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


def batches(count: int, size: int, progress: bool) -> Iterator[slice]:
    """Slices of at most `size` that cover `count` items, with a progress bar on a terminal where it is wanted."""
    from tqdm import tqdm

    starts = range(0, count, size)
    for start in tqdm(starts, desc="scoring", unit="batch", leave=False, disable=None if progress else True):
        yield slice(start, min(start + size, count))
