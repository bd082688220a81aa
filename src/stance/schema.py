"""The records that flow through the package, defined once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LABELS: tuple[str, ...] = ("for", "against", "conditional", "none")
STANCE_LABELS: tuple[str, ...] = ("for", "against", "conditional")
TARGET = "lifting the UN arms embargo on Libya"


class StanceError(Exception):
    """Base of the errors whose message alone tells a user what is wrong and what to do."""

    exit_code = 1


class MissingExtraError(StanceError, ImportError):
    """A feature was used whose optional dependencies are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs packages that are not installed: pip install 'embargo-stance[{extra}]'")


class TruncationWarning(UserWarning):
    """Sentences were longer than a model reads, and lost their end.

    Args:
        count: how many.
        max_length: what the model reads, in tokens.
    """

    def __init__(self, count: int, max_length: int) -> None:
        super().__init__(count, max_length)
        self.count = count
        self.max_length = max_length

    def __str__(self) -> str:
        return f"{self.count} sentence(s) are longer than the {self.max_length} tokens that the model reads: cut"


@dataclass(frozen=True)
class TaskSpec:
    """What is classified: the labels in their order, and those among them that are stances.

    Args:
        labels: all labels; the order is that of every probability vector and confusion matrix.
        stance_labels: the labels that the headline macro-F1 averages.
        target: what the stance is toward, in words.

    Raises:
        StanceError: if the labels cannot make a task.
    """

    labels: tuple[str, ...] = LABELS
    stance_labels: tuple[str, ...] = STANCE_LABELS
    target: str = TARGET

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "stance_labels", tuple(self.stance_labels))
        if len(self.labels) < 2:
            raise StanceError(f"task.labels must name at least two labels, not {list(self.labels)}")
        for name in ("labels", "stance_labels"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise StanceError(f"task.{name} names a label twice: {list(values)}")
        unknown = [label for label in self.stance_labels if label not in self.labels]
        if unknown or not self.stance_labels:
            raise StanceError(
                f"task.stance_labels must be one or more of task.labels {list(self.labels)}, "
                f"not {list(self.stance_labels)}"
            )


@dataclass(frozen=True)
class Sentence:
    """One sentence to classify.

    Args:
        text: the sentence.
        context: the text before it in its document, a sentence a line; empty where there is none or it is not known.
        doc: the document's name.
        start: character offset of the sentence in its document, or -1 where it is not known.
        end: character offset behind its last character, or -1.
        holder: whose stance it is, where that is labelled; empty where it is not, or there is no stance.
    """

    text: str
    context: str = ""
    doc: str = ""
    start: int = -1
    end: int = -1
    holder: str = ""


@dataclass(frozen=True)
class LabelledSentences:
    """Sentences with their gold labels, to train on or to choose by.

    Args:
        sentences: the sentences, n of them.
        labels: the number of each one's label in `TaskSpec.labels`, n of them.
        weights: how much each one counts, n of them.
    """

    sentences: Sequence[Sentence]
    labels: Sequence[int]
    weights: Sequence[float]

    def __len__(self) -> int:
        return len(self.sentences)


@dataclass(frozen=True)
class Attribution:
    """What a part of a sentence contributed to a prediction.

    Args:
        token: the part, as the model reads it.
        start: character offset in the sentence.
        end: character offset behind its last character.
        weight: positive where it speaks for the most probable label; what the weights sum to is said by the
            model's `explain`.
    """

    token: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Prediction:
    """A stance with calibrated probabilities.

    Args:
        label: the most probable label, or None where its probability is below the `min_confidence` asked for.
        probabilities: label to probability, in label order; sums to 1.
        holder: whose stance it is, as the sentence or its context names it, or "author"; None where there is no stance,
            or the model does not look for holders, as the baseline.
        explanation: what spoke for and against the most probable label, in the order of the sentence; None where it
            was not asked for.
    """

    label: str | None
    probabilities: dict[str, float]
    holder: str | None = None
    explanation: tuple[Attribution, ...] | None = None

    @property
    def confidence(self) -> float:
        """The probability of the most probable label."""
        return max(self.probabilities.values())
