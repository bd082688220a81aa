"""The picture of who stands where: articles with their stances marked, on one page that loads nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stance.analysis import NOT_NAMED, ArticleStance, by_holder
from stance.pages.templates import html_template


def render_page(articles: Sequence[ArticleStance]) -> str:
    """An HTML page of the articles' texts, stances marked, and of a table of holders that filters them.

    Args:
        articles: of one model, at least one.
    """
    holders = by_holder(articles)
    number_of: dict[str | None, int] = {
        mention: number for number, holder in enumerate(holders) for mention in holder.mentions
    }
    number_of[None] = next((number for number, holder in enumerate(holders) if holder.holder is None), -1)
    return html_template("article.html.jinja").render(
        target=articles[0].target,
        stance_labels=articles[0].stance_labels,
        holders=holders,
        not_named=NOT_NAMED,
        articles=[(article, list(_segments(article, number_of))) for article in articles],
    )


def _segments(article: ArticleStance, number_of: Mapping[str | None, int]) -> Iterator[dict[str, object]]:
    """The text in pieces: what takes a stance, and what lies between."""
    end = 0
    for sentence in article.sentences:
        label = sentence.prediction.label
        if label in article.stance_labels:
            yield {"text": article.text[end : sentence.start]}
            yield {
                "text": sentence.text,
                "stance": article.stance_labels.index(label),
                "label": label,
                "holder": number_of[sentence.prediction.holder],
                "named": sentence.holder or NOT_NAMED,
                "probabilities": sentence.prediction.probabilities,
            }
            end = sentence.end
    yield {"text": article.text[end:]}
