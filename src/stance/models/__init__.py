"""What a model is: anything that turns sentences into one probability per label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from stance.schema import Sentence, TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class StanceModel(Protocol):
    """A trained model. Instances are read-only, so threads may share one."""

    task: TaskSpec

    def predict_proba(self, sentences: Sequence[Sentence]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (sentences, labels), columns in the order of `task.labels`."""
        ...
