"""Sentences of an article's text, with exact character offsets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from stance.schema import Sentence

LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
WORD = re.compile(r"[^\W\d_]+")
# A line that ends with one of these goes on in the next.
OPEN_WORDS = frozenset(
    ["a", "an", "and", "as", "at", "but", "by", "for", "from", "in", "of", "on", "or", "that", "the", "to", "with"]
)
# Hard-wrapped lines are at most so long, and there are at least so many of them.
WRAPPED_WIDTH, WRAPPED_LINES = 100, 3
# Sentences of context, if there are so many. All of them would make long articles' contexts endless.
CONTEXT = 10
# The contexts of so many sentences in a row begin with the same sentence, so that a transformer reads them together.
BLOCK = 100
UNENCODABLE = re.compile("[\ud800-\udfff]")


def split_sentences(text: str, *, doc: str = "") -> list[Sentence]:
    """Split a text into sentences: prose, and what a web page has besides, such as captions and headlines.

    A line is a paragraph, except where it goes on in the next one: hard-wrapped lines are joined. Paragraphs are split
    by sentencex, which keeps a quotation of several sentences in one piece.

    Args:
        text: any text.
        doc: its name.

    Returns:
        The sentences in order: `text[s.start:s.end] == s.text`, and between them there is but white space. The context
        of each is the sentences before it, a sentence a line: of the first hundred, all; of each further hundred, from
        the tenth before that hundred on.
    """
    sentences: list[Sentence] = []
    before: list[str] = []
    for start, end in _spans(text):
        first = max(0, len(before) // BLOCK * BLOCK - CONTEXT)
        sentences.append(Sentence(text[start:end], "\n".join(before[first:]), doc, start, end))
        before.append(" ".join(text[start:end].split()))
    return sentences


def _spans(text: str) -> Iterator[tuple[int, int]]:
    import sentencex  # which predicting sentences does without

    for first, last in _paragraphs(text):
        # One character for another, so that the offsets stay.
        paragraph = UNENCODABLE.sub("\ufffd", re.sub(r"\s", " ", text[first:last]))
        for boundary in sentencex.get_sentence_boundaries("en", paragraph):
            start, end = first + boundary["start_index"], first + boundary["end_index"]
            while start < end and text[start].isspace():
                start += 1
            while start < end and text[end - 1].isspace():
                end -= 1
            if start < end:
                yield start, end


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Where paragraphs begin and end: lines, joined where one goes on in the next."""
    block: list[re.Match[str]] = []
    for line in LINE.finditer(text):
        if not line.group().strip():
            yield from _joined(block)
            block = []
            continue
        if block and _is_blank_line(text[block[-1].end() : line.start()]):
            yield from _joined(block)
            block = []
        block.append(line)
    yield from _joined(block)


def _is_blank_line(gap: str) -> bool:
    return len(gap.replace("\r\n", "\n")) > 1


def _joined(block: Sequence[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """The paragraphs of lines that follow one another without a blank line."""
    wrapped = _is_hard_wrapped([line.group().rstrip() for line in block])
    start = 0
    for i, line in enumerate(block):
        if i + 1 == len(block) or not (wrapped or _goes_on(line.group(), block[i + 1].group())):
            yield block[start].start(), line.end()
            start = i + 1


def _goes_on(line: str, following: str) -> bool:
    words = WORD.findall(line)
    return following.lstrip()[0].islower() or bool(
        words and line.rstrip().endswith(words[-1]) and words[-1].lower() in OPEN_WORDS
    )


def _is_hard_wrapped(lines: Sequence[str]) -> bool:
    """Whether no line but the last had room for the next one's first word."""
    if len(lines) < WRAPPED_LINES:
        return False
    width = max(map(len, lines))
    return width <= WRAPPED_WIDTH and all(
        len(line) + 1 + len(following.split()[0]) > width for line, following in pairwise(lines)
    )


def without_context(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Return the same sentences, each standing alone."""
    return [replace(sentence, context="") for sentence in sentences]
