"""Whose stance it is: the holder's name as a span of the sentence or of those before it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

AUTHOR = "author"
WORD = re.compile(r"\w+")
ARTICLES = frozenset(["a", "an", "the"])
# Words of a span that may be beside those of the holder's name.
SLACK = 2
# Token F1 above which a span that is not the name itself counts as naming the holder.
ENOUGH = 0.5


def locate(holder: str, texts: Sequence[str]) -> tuple[int, int, int] | None:
    """Where a holder is named: literally in the nearest text, else about so.

    Args:
        holder: as annotated, which may differ a little from what the text says ("deputy foreign minister" for "deputy
            minister for foreign affairs").
        texts: the sentence, the one before it, the one before that …

    Returns:
        The number of the text, and the offsets there of the name's first character and behind its last; None where it
        is in none. The first mention in the sentence counts, and the last one in those before.
    """
    for find in (_literally, _about):
        for number, text in enumerate(texts):
            if found := find(holder, text):
                return number, *found[-1 if number else 0]
    return None


def _literally(holder: str, text: str) -> list[tuple[int, int]]:
    name = " ".join(word for word in holder.split() if word.lower() not in ARTICLES)
    pattern = rf"(?<!\w){re.escape(name)}(?!\w)" if name else r"(?!)"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _about(holder: str, text: str) -> list[tuple[int, int]]:
    """The spans of words that share most with the name, if they share enough."""
    name = Counter(word for word in WORD.findall(holder.lower()) if word not in ARTICLES)
    words = list(WORD.finditer(text))
    own = [i for i, word in enumerate(words) if word.group().lower() in name]
    found: dict[float, list[tuple[int, int]]] = {}
    for first in own:
        for last in own:
            if first <= last < first + name.total() + SLACK:
                span = Counter(word.group().lower() for word in words[first : last + 1])
                f1 = 2 * (span & name).total() / (span.total() + name.total())
                found.setdefault(f1, []).append((words[first].start(), words[last].end()))
    best = max(found, default=0.0)
    return found[best] if best >= ENOUGH else []


def token_f1(found: str, gold: str) -> float:
    """Overlap of two names in words, without case and articles (Rajpurkar et al. 2016); 1 if both are empty."""
    words = [Counter(w for w in WORD.findall(name.lower()) if w not in ARTICLES) for name in (found, gold)]
    total = words[0].total() + words[1].total()
    return 2 * (words[0] & words[1]).total() / total if total else 1.0
