"""`analyze`: from an article to who stands where."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stance.prediction import classify, load
from stance.schema import LABELS, STANCE_LABELS, TARGET, Prediction, StanceError
from stance.text.names import merge_holders
from stance.text.sentences import split_sentences

if TYPE_CHECKING:
    import pandas as pd

    from stance.models.base import StanceModel

# How a holder is shown whom the model does not name.
NOT_NAMED = "(not named)"


@dataclass(frozen=True)
class SentenceStance:
    """A sentence of an article, and the stance it takes.

    Args:
        text: the sentence.
        start: character offset in the article.
        end: character offset behind its last character.
        prediction: its stance; `prediction.holder` is the holder as the article names it there.
        holder: the one name that stands for this holder throughout; None where `prediction.holder` is None.
    """

    text: str
    start: int
    end: int
    prediction: Prediction
    holder: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `mention` is the holder as the article names it there."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "label": self.prediction.label,
            "confidence": self.prediction.confidence,
            "probabilities": self.prediction.probabilities,
            "holder": self.holder,
            "mention": self.prediction.holder,
        }


@dataclass(frozen=True)
class HolderStance:
    """Where one holder stands.

    Args:
        holder: the name that stands for the holder; None for the stances whose holder the model does not name.
        mentions: the names that articles use, the most frequent first.
        counts: stance to number of sentences, in label order.
        probabilities: label to mean probability over these sentences.
        clearest: the sentence whose stance is the most probable.
        articles: in how many articles.
        date: on which date; None for all dates together.
    """

    holder: str | None
    mentions: tuple[str, ...]
    counts: dict[str, int]
    probabilities: dict[str, float]
    clearest: SentenceStance
    articles: int
    date: str | None = None

    @property
    def sentences(self) -> int:
        """How many sentences take a stance of this holder's."""
        return sum(self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "holder": self.holder,
            "date": self.date,
            "mentions": list(self.mentions),
            "articles": self.articles,
            "counts": self.counts,
            "probabilities": self.probabilities,
            "clearest": self.clearest.to_dict(),
        }


@dataclass(frozen=True)
class ArticleStance:
    """Who stands where in one article.

    Args:
        text: the article.
        sentences: all its sentences, in order.
        labels: the model's labels.
        stance_labels: those among them that are stances.
        target: what the stances are toward.
        name: what the article is called, such as its file.
        date: of the article, as YYYY-MM-DD; None if it is not known.
    """

    text: str
    sentences: tuple[SentenceStance, ...]
    labels: tuple[str, ...] = LABELS
    stance_labels: tuple[str, ...] = STANCE_LABELS
    target: str = TARGET
    name: str = ""
    date: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Label to number of sentences, in label order."""
        found = Counter(sentence.prediction.label for sentence in self.sentences)
        return {label: found[label] for label in self.labels}

    @property
    def probabilities(self) -> dict[str, float]:
        """Label to mean probability over all sentences; empty if there is none."""
        return _mean(self.sentences)

    @property
    def holders(self) -> list[HolderStance]:
        """Who takes a stance, those of most sentences first."""
        return by_holder([self])

    def to_dict(self) -> dict[str, Any]:
        """All but the article's text, as JSON can hold it."""
        return {
            "name": self.name,
            "date": self.date,
            "target": self.target,
            "counts": self.counts,
            "probabilities": self.probabilities,
            "holders": [holder.to_dict() for holder in self.holders],
            "sentences": [sentence.to_dict() for sentence in self.sentences],
        }

    def to_frame(self) -> pd.DataFrame:
        """The sentences as rows: name, date, text, start, end, label, confidence, p_LABEL …, holder, mention.

        Raises:
            StanceError: if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise StanceError("to_frame needs pandas: pip install pandas") from None
        rows = []
        for sentence in self.sentences:
            row = {"name": self.name, "date": self.date, **sentence.to_dict()}
            probabilities = row.pop("probabilities")
            holder = {column: row.pop(column) for column in ("holder", "mention")}
            rows.append({**row, **{f"p_{label}": p for label, p in probabilities.items()}, **holder})
        columns = ["name", "date", "text", "start", "end", "label", "confidence"]
        columns += [*(f"p_{label}" for label in self.labels), "holder", "mention"]
        return pd.DataFrame(rows, columns=columns)


def analyze(text: str, *, model: str | os.PathLike[str] | StanceModel | None = None) -> ArticleStance:
    """Read an article: its sentences, the stance of each, and whose stance it is.

    Args:
        text: the article, as plain text. Each of its sentences is classified with those before it as context.
        model: as for `predict`. A model that looks for no holders, as the TF-IDF baseline, leaves them None.

    Raises:
        TypeError: if the text is no string.
        ModelFolderError: as `load`.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, not {type(text).__name__}")
    if model is None or isinstance(model, (str, os.PathLike)):
        model = load(model)
    sentences = split_sentences(text)
    predictions = classify(sentences, model, progress=True)
    names = merge_holders(prediction.holder for prediction in predictions if prediction.holder is not None)
    found = tuple(
        SentenceStance(s.text, s.start, s.end, p, None if p.holder is None else names[p.holder])
        for s, p in zip(sentences, predictions, strict=True)
    )
    return ArticleStance(text, found, model.task.labels, model.task.stance_labels, model.task.target)


def by_holder(articles: Sequence[ArticleStance], *, by_date: bool = False) -> list[HolderStance]:
    """Who stands where in several articles: holders are merged across them.

    Args:
        articles: of one model.
        by_date: whether each holder is followed by what the holder says on each date, from the first; articles without
            a date count for all dates together alone.

    Returns:
        The holders, those of most sentences first.
    """
    said = [(a, s) for a in articles for s in a.sentences if s.prediction.label in a.stance_labels]
    names = merge_holders(s.prediction.holder for _, s in said if s.prediction.holder is not None)
    of_holders: dict[str | None, list[tuple[ArticleStance, SentenceStance]]] = {}
    for article, sentence in said:
        holder = None if sentence.prediction.holder is None else names[sentence.prediction.holder]
        of_holders.setdefault(holder, []).append((article, replace(sentence, holder=holder)))
    found = []
    for holder, sentences in sorted(of_holders.items(), key=lambda item: -len(item[1])):
        found.append(_holder_stance(holder, sentences))
        for date in sorted({article.date for article, _ in sentences if article.date}) if by_date else ():
            found.append(_holder_stance(holder, [(a, s) for a, s in sentences if a.date == date], date))
    return found


def _holder_stance(
    holder: str | None, said: Sequence[tuple[ArticleStance, SentenceStance]], date: str | None = None
) -> HolderStance:
    articles = {id(article): article for article, _ in said}
    (stance_labels,) = {article.stance_labels for article in articles.values()}
    sentences = [sentence for _, sentence in said]
    mentions = Counter(sentence.prediction.holder for sentence in sentences if sentence.prediction.holder is not None)
    counts = Counter(sentence.prediction.label for sentence in sentences)
    return HolderStance(
        holder,
        tuple(mention for mention, _ in mentions.most_common()),
        {label: counts[label] for label in stance_labels},
        _mean(sentences),
        max(sentences, key=lambda sentence: sentence.prediction.confidence),
        len(articles),
        date,
    )


def _mean(sentences: Iterable[SentenceStance]) -> dict[str, float]:
    rows = [sentence.prediction.probabilities for sentence in sentences]
    return {label: sum(row[label] for row in rows) / len(rows) for label in rows[0]} if rows else {}
