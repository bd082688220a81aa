"""Exact and near duplicates among sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stance.schema import MissingExtraError

try:
    from rapidfuzz import process
    from rapidfuzz.distance import Indel
except ImportError as error:
    raise MissingExtraError("the search for duplicates", "train") from error

SIMILARITY = 0.9
FORMULA_WORDS = 10
RUN_WORDS = 12
_CHUNK = 500


def find_duplicates(texts: Sequence[str], similarity: float = SIMILARITY) -> list[tuple[int, int, float]]:
    """Pairs of texts that are the same, or nearly, but for case and white space.

    Similarity is the share of characters in the longest common subsequence (rapidfuzz's normalized Indel
    similarity): 1 for the same text. Every pair is compared that can reach the threshold by its lengths.

    Args:
        texts: the texts.
        similarity: the least similarity that counts.

    Returns:
        (index, larger index, similarity), sorted.
    """
    folded = [" ".join(text.casefold().split()) for text in texts]
    order = sorted(range(len(folded)), key=lambda i: len(folded[i]))
    by_length = [folded[i] for i in order]
    lengths = np.array([len(text) for text in by_length])
    pairs = []
    for start in range(0, len(by_length), _CHUNK):
        chunk = by_length[start : start + _CHUNK]
        # similarity = 2 * common / (length + other length), and common <= length
        longest = len(chunk[-1]) * (2 - similarity) / similarity
        stop = int(np.searchsorted(lengths, longest, side="right"))
        scores = process.cdist(
            chunk,
            by_length[start:stop],
            scorer=Indel.normalized_similarity,
            score_cutoff=similarity,
            dtype=np.float32,
            workers=-1,
        )
        for row, column in zip(*np.nonzero(scores), strict=True):
            if column > row:
                first, second = sorted((order[start + row], order[start + column]))
                pairs.append((first, second, float(scores[row, column])))
    return sorted(pairs)


def find_shared_runs(texts: Sequence[str], words: int = RUN_WORDS) -> list[tuple[int, int]]:
    """Find texts that have a run of words in common, ignoring case and punctuation.

    Args:
        texts: the texts.
        words: length of the run, in words.

    Returns:
        Pairs (index, larger index), sorted. Each text is paired with the first text that has the same run, so that the
        pairs connect all texts that share it without listing every combination.
    """
    first_with: dict[tuple[str, ...], int] = {}
    pairs = set()
    for number, text in enumerate(texts):
        found = re.findall(r"\w+", text.casefold())
        for start in range(len(found) - words + 1):
            first = first_with.setdefault(tuple(found[start : start + words]), number)
            if first != number:
                pairs.add((first, number))
    return sorted(pairs)


def are_formulae(*rows: Mapping[str, Any]) -> bool:
    """Whether all are phrases of procedure that any document may repeat: short, and labelled `none`.

    Args:
        rows: sentences with `text` and `label`.
    """
    return all(row["label"] == "none" and len(row["text"].split()) <= FORMULA_WORDS for row in rows)
