"""Measure what docs/results.md reports: `python benchmarks/run.py [MODEL ...]`.

Quality of the packaged model and of other model folders, then speed. Times are medians; what is compared runs in turn,
A B A B …, and a ratio is the median of the pairs' ratios, so that a drift of the machine's speed hits both sides.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from stance import load, predict
from stance.data.articles import articles_folder
from stance.data.labelled import LabelledData
from stance.data.parts import load_parts
from stance.data.real import real_folder
from stance.evaluation.score import score
from stance.models.folder import read_description
from stance.pages.console import summary_table
from stance.prediction import PRETRAINED
from stance.schema import STANCE_LABELS, TaskSpec

SENTENCE = "Egypt asked the Security Council to lift the arms embargo on Libya."
BATCH = 64
# The part of the real validation sentences on which earlier models were compared.
UN_SPEECHES = "UN General Debate (first set)"
PIPELINE = """
import transformers
transformers.utils.logging.set_verbosity_error()
classify = transformers.pipeline("text-classification", model={weights!r})
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


def labelled_data() -> dict[str, LabelledData]:
    """The corpus, and the real passages and articles where their text is at hand."""
    at_hand = ["corpus"]
    if (real_folder() / "test.jsonl").is_file():
        at_hand.append("real")
    if any(articles_folder().glob("*.txt")):
        at_hand.append("articles")
    return load_parts(at_hand, TaskSpec())


def test_sets(data: dict[str, LabelledData]) -> dict[str, LabelledData]:
    """What is reported: both parts of validation, the UN speeches among them, then each part of the test split."""
    found = {f"{part}, validation": rows for part, rows in data["validation"].by_part().items()}
    if real := found.get("real, validation"):
        found["UN speeches"] = real.where("source", UN_SPEECHES)
    found |= {f"{part}, test": rows for part, rows in data["test"].by_part().items()}
    corpus = found["corpus, test"]
    for origin in ("invented", "retold"):
        found[f"corpus, test, {origin}"] = corpus.where("origin", origin)
    found["corpus, test, implicit"] = corpus.where("implicit", True)
    return found


def quality(data: dict[str, LabelledData], folders: list[Path]) -> None:
    sets = test_sets(data)
    for folder in folders:
        for context in (True, False) if read_description(folder)["kind"] == "transformer" else (True,):
            shown = {name: rows if context else rows.without_context() for name, rows in sets.items()}
            found = {name: score(load(folder), rows, seed=1).metrics for name, rows in shown.items()}
            print(f"{folder}{'' if context else ', each sentence alone'}\n{summary_table(found)}")
            for name, metrics in found.items():
                figures = metrics["takes_a_stance"]
                labels = ", ".join(
                    f"{label} {c['f1']:.3f} [{c['f1_interval'][0]:.3f}, {c['f1_interval'][1]:.3f}] of {c['support']}"
                    for label, c in metrics["per_class"].items()
                )
                print(
                    f"{name}: over all labels {metrics['macro_f1_all']:.3f}; any stance: precision "
                    f"{figures['precision']:.3f}, recall {figures['recall']:.3f}, calibration error "
                    f"{figures['ece'] or 0:.3f}; {labels}"
                )
                if holders := metrics.get("holders"):
                    low, high = holders["token_f1_interval"]
                    print(f"{name}, holders: {holders['token_f1']:.3f} [{low:.3f}, {high:.3f}]", end=" ")
                    print(f"exact {holders['exact']:.3f} ({holders['sentences']:,} sentences)")
            print()

    train = data["train"].where("part", "corpus")
    plain = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    plain.fit(train.column("text"), train.labels)
    print("macro-F1 of TfidfVectorizer(ngram_range=(1, 2)) and LogisticRegression() with scikit-learn's defaults")
    for name, rows in sets.items():
        predicted = plain.predict(rows.column("text"))
        macro_f1 = f1_score(rows.labels, predicted, labels=list(STANCE_LABELS), average="macro")
        print(f"{name:<26} {macro_f1:>8.3f}")


def speed(texts: list[str], weights: Path, runs: int) -> None:
    rows = []
    _, more, _ = in_turn(python("import stance"), python("pass"), runs * 2)
    rows.append(("import stance, over bare python", f"+{more:.3f} s", "<= +0.10 s"))
    articles = articles_folder()
    if any(articles.glob("*.txt")):
        analyze = python(f"from stance.cli import main; main(['analyze', {str(articles)!r}])")
        ours = statistics.median(seconds(analyze) for _ in range(runs))
        rows.append(("stance analyze, the five press articles", f"{ours:.2f} s", "<= 2 s"))
    if not (weights / "model.safetensors").is_file():
        print(
            f"{weights} holds no weights (python train.py experiment=distil): no comparison with transformers.pipeline"
        )
    else:
        by_hand = PIPELINE.format(weights=str(weights))
        first = python(f"from stance import predict; predict({SENTENCE!r})")
        ours, _, ratio = in_turn(first, python(f"{by_hand}classify({SENTENCE!r})"), runs)
        rows.append((f"first predict ({ours:.2f} s), over transformers.pipeline's", f"{ratio:.3f} x", "<= 0.25 x"))
        names: dict[str, Any] = {}
        exec(by_hand, names)
        batches = iter([texts[i : i + BATCH] for i in range(0, BATCH * (runs + 1), BATCH) for _ in (1, 2)])
        ours, _, ratio = in_turn(
            lambda: predict(next(batches)), lambda: names["classify"](next(batches), batch_size=BATCH), runs
        )
        rows.append(
            (f"{BATCH} sentences ({ours:.3f} s): the pipeline's time over ours", f"{1 / ratio:.2f} x", ">= 3 x")
        )
        single = iter([text for text in texts[-201:] for _ in (1, 2)])
        ours, _, ratio = in_turn(lambda: predict(next(single)), lambda: names["classify"](next(single)), 200)
        rows.append((f"one sentence ({ours * 1000:.1f} ms), over the pipeline", f"{ratio:.3f} x", "<= 0.33 x"))
    for row in rows:
        print(f"{row[0]:<62} {row[1]:>9}   {row[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="model folders to measure beside the packaged model")
    parser.add_argument("--weights", type=Path, default="models/distil", help="the packaged model's fp32 weights")
    parser.add_argument("--runs", type=int, default=10, help="counted runs of each process (default: 10)")
    parser.add_argument("--skip-train", action="store_true", help="do not time make train")
    options = parser.parse_args()
    data = labelled_data()
    quality(data, [PRETRAINED, *options.models])
    print()
    texts = data["test"].where("part", "corpus").column("text")
    random.Random(1).shuffle(texts)
    speed(texts, options.weights, options.runs)
    if not options.skip_train:
        took = seconds(lambda: subprocess.run(["make", "train"], check=True, capture_output=True))
        print(f"{'make train, everything installed':<62} {took:>7.1f} s   <= 120 s")


if __name__ == "__main__":
    main()
