"""Batches of windows to train on: contexts cut off at random, windows of about one length together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stance.models.transformer.network import IGNORED
from stance.models.transformer.serve import Inputs, Window
from stance.schema import LabelledSentences, MissingExtraError

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError("training a transformer", "transformer") from error

# Padded lengths are multiples of this, so that few distinct shapes occur.
WIDTH = 8
# Windows are sorted by length within the sentences of this many batches.
SORTED_BATCHES = 50


@dataclass(frozen=True)
class Example:
    """What a training step sees of one window.

    Args:
        window: the sentences.
        labels: the numbers of their labels, shape (sentences,).
        holders: the first and the last token of each one's holder, shape (sentences, 2); `IGNORED` where none is named.
        weights: weight of each one in the loss, shape (sentences,).
        soft_labels: a teacher's probabilities, shape (sentences, labels), which count instead of the labels.
    """

    window: Window
    labels: list[int]
    holders: list[tuple[int, int]]
    weights: list[float]
    soft_labels: NDArray[np.float64] | None = None


class TrainingBatches(torch.utils.data.Dataset[list[Example]]):
    """Labelled sentences in batches, whose contexts are cut off at random, anew for each epoch.

    A batch holds windows of about the same length, with about as many sentences as any other.

    Args:
        inputs: how sentences become token ids.
        data: the sentences, with their contexts.
        batch_size: sentences in a batch, about.
        context_dropout: the probability that a sentence, with those behind it, does not see what is before it.
        seed: governs, with the epoch, what is cut off, and the batches.
        soft_labels: a teacher's probabilities, shape (2, sentences, labels): with context and without.
    """

    def __init__(
        self,
        inputs: Inputs,
        data: LabelledSentences,
        batch_size: int,
        context_dropout: float,
        seed: int,
        soft_labels: NDArray[np.float64] | None = None,
    ) -> None:
        self.inputs = inputs
        self.data = data
        self.chains = inputs.chains(data.sentences)
        self.context_dropout = context_dropout
        self.seed = seed
        self.soft_labels = soft_labels
        self.batch_size = batch_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which contexts are cut off, and the batches; called by the Trainer, also when it resumes an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        examples = self.draw(rng)
        # Of so many sentences at random, those of about one length go together.
        several = self.batch_size * max(1, min(SORTED_BATCHES, len(self) // 4))
        examples = [examples[i] for i in rng.permutation(len(examples))]
        of_some = np.cumsum([len(example.labels) for example in examples]) // several
        lengths = np.array([-(-example.window.length // WIDTH) for example in examples])
        # Up and down in turn, as a batch may have the last of some sentences and the first of the next.
        order = np.lexsort((np.where(of_some % 2, -lengths, lengths), of_some))
        examples = [examples[i] for i in order]
        ends = np.cumsum([len(example.labels) for example in examples])
        batch_of = (ends - 1) * len(self) // ends[-1]
        batches: list[list[Example]] = [[] for _ in range(len(self))]
        for example, batch in zip(examples, batch_of.tolist(), strict=True):
            batches[batch].append(example)
        filled = [batch for batch in batches if batch]
        # As many in each epoch: a window may be longer than a batch, and leave none for the next one.
        self.batches = [filled[i % len(filled)] for i in rng.permutation(len(self))]

    def draw(self, rng: np.random.Generator) -> list[Example]:
        """All sentences in windows, with their contexts cut off at random."""
        examples = []
        for chain in self.chains:
            cuts = np.flatnonzero(rng.random(len(chain.rows)) < self.context_dropout).tolist()
            examples += [self._example(window) for window in self.inputs.pack(chain, cuts)]
        return examples

    def _example(self, window: Window) -> Example:
        nowhere = (IGNORED, IGNORED)
        holders = [
            self.inputs.holder_tokens(window, window.first + i, self.data.sentences[row].holder) or nowhere
            for i, row in enumerate(window.rows)
        ]
        soft = None
        if self.soft_labels is not None:
            soft = np.stack([self.soft_labels[int(window.first + i == 0), row] for i, row in enumerate(window.rows)])
        labels = [self.data.labels[row] for row in window.rows]
        weights = [self.data.weights[row] for row in window.rows]
        return Example(window, labels, holders, weights, soft)

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.batch_size)

    def __getitem__(self, index: int) -> list[Example]:
        return self.batches[index]


def collate(inputs: Inputs, batches: Sequence[Sequence[Example]]) -> dict[str, torch.Tensor]:
    """The arrays of `Inputs.arrays`, `labels`, `holders`, `weights`, and `soft_labels` where there is a teacher."""
    batch = [example for batch in batches for example in batch]
    tensors = {n: torch.from_numpy(a) for n, a in inputs.arrays([e.window for e in batch], multiple=WIDTH).items()}
    tensors["labels"] = _padded([torch.tensor(example.labels) for example in batch])
    tensors["holders"] = _padded([torch.tensor(example.holders) for example in batch])
    tensors["weights"] = _padded([torch.tensor(example.weights) for example in batch])
    if batch[0].soft_labels is not None:
        tensors["soft_labels"] = _padded([torch.from_numpy(example.soft_labels).float() for example in batch])
    return tensors


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)
