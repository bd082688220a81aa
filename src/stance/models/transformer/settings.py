"""Hyperparameters of the transformer, apart from the libraries that train it: `conf/` is checked against them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from stance.schema import StanceError

CLASS_WEIGHTS = ("balanced", "sqrt", "none")


@dataclass
class TransformerSettings:
    """Hyperparameters of the transformer.

    Args:
        encoder: `minilm`, `mpnet`, a Hub id, or a folder.
        context: how many of the preceding sentences a sentence sees; 0 for none.
        context_dropout: how often a training sentence, with those behind it, is cut off from those before, 0 to 1.
        max_length: longest input in tokens; context is cut first.
        epochs: passes over the training data, at most.
        patience: epochs without a better validation score after which training stops.
        batch_size: sentences per step and device, about.
        learning_rate: peak of AdamW's learning rate; it rises over a tenth of the steps and falls linearly.
        class_weights: how a label's weight falls with its frequency in training: `balanced` (inversely), `sqrt` (with
            the square root of that) or `none`.
        label_smoothing: part of each label's probability that is spread over all labels, 0 to below 1.
        freeze_embeddings: whether the encoder's embeddings stay as they were pretrained.
        frozen_layers: how many of the encoder's lowest layers stay as they were pretrained.
        soft_labels: a folder of soft labels (`stance data soft-labels`), which are learned instead of the labels.
        layers: keep only so many of the encoder's layers, the lowest; 0 keeps all.
        vocabulary: keep only so many tokens of the encoder's vocabulary; 0 keeps all.

    Raises:
        StanceError: if a value is out of its range.
    """

    kind: ClassVar[str] = "transformer"

    encoder: str = "minilm"
    context: int = 4
    context_dropout: float = 0.25
    max_length: int = 384
    epochs: int = 4
    patience: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-4
    class_weights: str = "balanced"
    label_smoothing: float = 0.05
    freeze_embeddings: bool = True
    frozen_layers: int = 0
    soft_labels: str | None = None
    layers: int = 0
    vocabulary: int = 0

    def __post_init__(self) -> None:
        least = {"context": 0, "max_length": 16, "epochs": 1, "patience": 1, "batch_size": 1}
        least |= {"frozen_layers": 0, "layers": 0, "vocabulary": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise StanceError(f"model.{name} must be at least {value}, not {getattr(self, name)}")
        if self.class_weights not in CLASS_WEIGHTS:
            raise StanceError(
                f"model.class_weights must be one of {', '.join(CLASS_WEIGHTS)}, not {self.class_weights}"
            )
        if not 0 <= self.context_dropout <= 1:
            raise StanceError(f"model.context_dropout must be from 0 to 1, not {self.context_dropout}")
        if not 0 <= self.label_smoothing < 1:
            raise StanceError(f"model.label_smoothing must be from 0 to below 1, not {self.label_smoothing}")
        if not 0 < self.learning_rate < math.inf:
            raise StanceError(f"model.learning_rate must be positive, not {self.learning_rate}")
