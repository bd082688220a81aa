"""What is in the corpus, and what may be wrong with it."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stance.data.corpus import read_corpus
from stance.data.duplicates import FORMULA_WORDS, SIMILARITY, are_formulae, find_duplicates
from stance.data.splits import SPLITS, read_splits
from stance.models.tfidf import TfidfSettings, fit_tfidf
from stance.schema import LABELS, LabelledSentences, MissingExtraError, Sentence, TaskSpec

try:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.metrics import cohen_kappa_score
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    raise MissingExtraError("an audit", "train") from error

MIN_NGRAM_SENTENCES = 20
LISTED = 20
FOLDS, SEED = 5, 1


def audit(folder: Path, splits_file: Path) -> Iterator[str]:
    """The parts of the audit, in Markdown, one by one.

    Args:
        folder: the corpus.
        splits_file: its splits.

    Raises:
        DataError: if the corpus or the splits cannot be read.
    """
    rows = read_corpus(folder, TaskSpec())
    split_of = read_splits(splits_file, {row["doc"] for row in rows})
    yield "## Counts\n\n" + _counts(rows, split_of)
    yield "## Agreement of two annotators\n\n" + _agreement(rows)
    yield "## Sentence length\n\n" + _lengths(rows)
    yield "## N-grams that give a label away\n\n" + _give_aways(rows)
    yield "## Duplicates\n\n" + _duplicates(rows, split_of)


def kappas(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Compute Cohen's kappa between the two annotators, `label_1` and `label_2`.

    Files without `label_1` have the first annotator's label as `label`.

    Returns:
        File name to kappa, with `all invented files` and `all retold files` for each kind of file.
    """
    by_file: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        if row.get("label_2"):
            for file in (row["file"], f"all {row['origin']} files"):
                by_file[file].append((row.get("label_1") or row["label"], row["label_2"]))
    return {file: float(cohen_kappa_score(*zip(*pairs, strict=True))) for file, pairs in by_file.items()}


def duplicates_across_splits(
    rows: Sequence[Mapping[str, Any]], split_of: Mapping[str, str]
) -> list[tuple[int, int, float]]:
    """Exact and near duplicates whose two sentences lie in different splits, but for formulae of procedure."""
    return [
        (i, j, similarity)
        for i, j, similarity in find_duplicates([row["text"] for row in rows])
        if split_of[rows[i]["doc"]] != split_of[rows[j]["doc"]] and not are_formulae(rows[i], rows[j])
    ]


def _table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    alignment = ["---", *["---:"] * (len(header) - 1)]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in [header, alignment, *lines]]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _counts(rows: Sequence[Mapping[str, Any]], split_of: Mapping[str, str]) -> str:
    counts = Counter((row["file"], split_of[row["doc"]], row["label"]) for row in rows)
    lines = []
    for file in sorted({row["file"] for row in rows}):
        for split in SPLITS:
            per_label = [counts[file, split, label] for label in LABELS]
            lines.append([file, split, *per_label, sum(per_label)])
    for split in SPLITS:
        per_label = [sum(n for (_, s, y), n in counts.items() if (s, y) == (split, label)) for label in LABELS]
        lines.append(["**all**", split, *per_label, sum(per_label)])
    return _table(["file", "split", *LABELS, "sentences"], lines)


def _agreement(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(["file", "Cohen's kappa"], [[file, f"{kappa:.3f}"] for file, kappa in sorted(kappas(rows).items())])


def _lengths(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for label in LABELS:
        words = [len(row["text"].split()) for row in rows if row["label"] == label]
        if len(words) < 2:
            continue
        low, median, high = statistics.quantiles(words, n=4)
        lines.append([label, f"{statistics.mean(words):.1f}", median, f"{low:.0f}-{high:.0f}", max(words)])
    return _table(["label", "mean words", "median", "middle half", "longest"], lines)


def _give_aways(rows: Sequence[Mapping[str, Any]]) -> str:
    """The n-grams with the highest pointwise mutual information with each label (Church and Hanks 1990)."""
    vectorizer = CountVectorizer(ngram_range=(1, 3), binary=True)
    counts = vectorizer.fit_transform([row["text"] for row in rows])
    total = counts.sum(axis=0).A1
    ngrams = vectorizer.get_feature_names_out()
    lines = []
    for label in LABELS:
        chosen = [i for i, row in enumerate(rows) if row["label"] == label]
        within = counts[chosen].sum(axis=0).A1
        share = len(chosen) / len(rows)
        scored = sorted(
            (
                (math.log2(within[i] / total[i] / share), int(total[i]), ngrams[i])
                for i in (within * (total >= MIN_NGRAM_SENTENCES)).nonzero()[0]
            ),
            reverse=True,
        )
        lines += [[label, ngram, f"{pmi:.2f}", n] for pmi, n, ngram in scored[:LISTED]]
    return (
        f"In at least {MIN_NGRAM_SENTENCES} sentences; an n-gram that had nothing to do with the label would have a "
        "PMI of 0.\n\n" + _table(["label", "n-gram", "PMI, bits", "sentences"], lines)
    )


def _duplicates(rows: Sequence[Mapping[str, Any]], split_of: Mapping[str, str]) -> str:
    kinds: Counter[tuple[str, str]] = Counter()
    listed = []
    for i, j, similarity in find_duplicates([row["text"] for row in rows]):
        formula = are_formulae(rows[i], rows[j])
        kind = "formulae" if formula else "exact" if similarity == 1 else "near"
        where = "within a split" if split_of[rows[i]["doc"]] == split_of[rows[j]["doc"]] else "across splits"
        kinds[kind, where] += 1
        if kind != "formulae" and where == "across splits":
            listed.append(f"- {rows[i]['doc']} and {rows[j]['doc']}: {rows[i]['text']}")
    lines = [
        [kind, *(kinds[kind, where] for where in ("within a split", "across splits"))]
        for kind in ("exact", "near", "formulae")
    ]
    return (
        f"Pairs with a similarity of at least {SIMILARITY}; formulae are sentences of at most {FORMULA_WORDS} words "
        "labelled none, exact or near.\n\n"
        + _table(["pairs", "within a split", "across splits"], lines)
        + "".join(f"\n{line}" for line in listed)
    )


def suspicious_labels(folder: Path, splits_file: Path) -> str:
    """The labels of train and validation that the baseline, trained on other documents, doubts most.

    Confident learning (Northcutt, Jiang and Chuang 2021), as cleanlab implements it.

    Raises:
        DataError: if the corpus or the splits cannot be read.
        MissingExtraError: if cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise MissingExtraError("the search for suspicious labels", "audit") from error
    task = TaskSpec()
    rows = read_corpus(folder, task)
    split_of = read_splits(splits_file, {row["doc"] for row in rows})
    rows = [row for row in rows if split_of[row["doc"]] != "test"]
    texts, labels, documents = ([row[column] for row in rows] for column in ("text", "label", "doc"))
    probabilities = np.zeros((len(rows), len(task.labels)))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED).split(texts, labels, documents)
    for train, held_out in tqdm(folds, total=FOLDS, desc="cross-validation", unit="fold", disable=None):
        learned = LabelledSentences(
            [Sentence(texts[i], doc=documents[i]) for i in train],
            [task.labels.index(labels[i]) for i in train],
            [1.0] * len(train),
        )
        model = fit_tfidf(learned, task=task, settings=TfidfSettings(), seed=SEED)
        probabilities[held_out] = model.predict_proba([Sentence(texts[i]) for i in held_out])
    doubted = find_label_issues(
        np.array([task.labels.index(label) for label in labels]),
        probabilities,
        return_indices_ranked_by="self_confidence",
    )
    lines = [
        [
            rows[i]["doc"],
            rows[i].get("sent", ""),
            rows[i]["label"],
            task.labels[probabilities[i].argmax()],
            rows[i]["text"],
        ]
        for i in doubted[:LISTED]
    ]
    return f"## Suspicious labels\n\n{len(doubted)} of {len(rows)}; the first {len(lines)}:\n\n" + _table(
        ["document", "sentence", "label", "baseline", "text"], lines
    )
