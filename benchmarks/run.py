"""Measure what docs/results.md reports: `python benchmarks/run.py [--un-speeches FILE] [--skip-train]`.

Times are medians; what is compared runs in turn, A B A B …, and a ratio is the median of the pairs' ratios, so that a
drift of the machine's speed hits both sides.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from stance import load, predict
from stance.data.articles import DEFAULT_FOLDER, load_articles
from stance.data.corpus import load_corpus
from stance.data.labelled import Dataset, label_names, load_files
from stance.evaluation.evaluate import score
from stance.evaluation.report import summary_table
from stance.models.tfidf import PIPELINE_FILE, TRUSTED
from stance.prediction import PRETRAINED
from stance.schema import STANCE_LABELS, TaskSpec

SENTENCE = "Egypt asked the Security Council to lift the arms embargo on Libya."
BY_HAND = f"""
import warnings
warnings.simplefilter("ignore")
import skops.io
import stance.models.tfidf
pipeline = skops.io.load({str(PRETRAINED / PIPELINE_FILE)!r}, trusted={TRUSTED!r})
pipeline.predict_proba([{SENTENCE!r}])
"""


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turn(first: Callable[[], object], second: Callable[[], object], runs: int) -> tuple[float, float, float]:
    """Median seconds of the first, median difference and median ratio to the second; the first pair is not counted."""
    times = [(seconds(first), seconds(second)) for _ in range(runs + 1)][1:]
    return (
        statistics.median(a for a, _ in times),
        statistics.median(a - b for a, b in times),
        statistics.median(a / b for a, b in times),
    )


def python(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def quality(un_speeches: Path | None) -> None:
    task = TaskSpec()
    corpus = load_corpus(Path("data/corpus"), Path("data/splits.json"), task)
    datasets: dict[str, Dataset] = {"corpus validation": corpus["validation"], "corpus test": corpus["test"]}
    articles = Path(os.environ.get("STANCE_ARTICLES") or DEFAULT_FOLDER)
    if any(articles.glob("*.txt")):
        datasets["five press articles"] = load_articles(Path("data/articles/labels.jsonl"), articles, task)["test"]
    if un_speeches:
        datasets["UN speeches"] = load_files({"test": un_speeches}, task, seed=1)["test"]
    model = load(PRETRAINED)
    print(summary_table({name: score(model, dataset, seed=1)[0] for name, dataset in datasets.items()}), "\n")

    train = corpus["train"]
    plain = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    plain.fit(list(train["text"]), label_names(train))
    print("macro-F1 of TfidfVectorizer(ngram_range=(1, 2)) and LogisticRegression() with scikit-learn's defaults")
    for name, dataset in datasets.items():
        predicted = plain.predict(list(dataset["text"]))
        macro_f1 = f1_score(label_names(dataset), predicted, labels=list(STANCE_LABELS), average="macro")
        print(f"{name:<26} {macro_f1:>8.3f}")


def speed(runs: int) -> None:
    rows = []
    _, more, _ = in_turn(python("import stance"), python("pass"), runs * 2)
    rows.append(("import stance, over bare python", f"+{more:.3f} s", "<= +0.10 s"))
    ours, _, ratio = in_turn(python(f"from stance import predict; predict({SENTENCE!r})"), python(BY_HAND), runs)
    rows.append((f"first predict ({ours:.2f} s), over skops by hand", f"{ratio:.3f} x", "<= 1.15 x"))
    corpus = load_corpus(Path("data/corpus"), Path("data/splits.json"), TaskSpec())
    texts = list(corpus["train"]["text"])[:10_000]
    pipeline = load(PRETRAINED).pipeline  # type: ignore[attr-defined]
    ours, _, ratio = in_turn(lambda: predict(texts), lambda: pipeline.predict_proba(texts), runs)
    rows.append((f"predict, 10,000 sentences ({ours:.2f} s), over predict_proba", f"{ratio:.3f} x", "<= 1.10 x"))
    for row in rows:
        print(f"{row[0]:<62} {row[1]:>9}   {row[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--un-speeches", type=Path, help="real sentences, labelled as the corpus is (JSONL)")
    parser.add_argument("--runs", type=int, default=10, help="counted runs of each process (default: 10)")
    parser.add_argument("--skip-train", action="store_true", help="do not time make train")
    options = parser.parse_args()
    quality(options.un_speeches)
    print()
    speed(options.runs)
    if not options.skip_train:
        took = seconds(lambda: subprocess.run(["make", "train"], check=True, capture_output=True))
        print(f"{'make train, everything installed':<62} {took:>7.1f} s   <= 120 s")


if __name__ == "__main__":
    main()
