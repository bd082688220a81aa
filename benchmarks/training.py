"""Seconds per epoch of training: `python benchmarks/training.py [--encoder mpnet]`.

What the Trainer takes as transformers' text-classification example sets it (fp32, batches in random order, padded to
their longest, nothing frozen), and what each measure of ours saves, on the same training sentences without context.
A part of an epoch is timed, every setting in turn, several times; medians, scaled to the whole epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from stance.data.corpus import load_corpus
from stance.models.encoders import find_encoder, freeze, load_encoder
from stance.models.onnx import Inputs, InputSettings
from stance.models.transformer import (
    Classifier,
    StanceTrainer,
    TrainingSentences,
    collate,
    has_bf16,
)
from stance.schema import Sentence, TaskSpec

BATCH = 32
MAX_LENGTH = 128


def arguments(*, bf16: bool = False) -> TrainingArguments:
    return TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        bf16=bf16,
        use_cpu=not torch.accelerator.is_available(),
    )


def stock(encoder: str, texts: list[str], labels: list[int]) -> float:
    path = find_encoder(encoder)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=4)
    encoded = [tokenizer(text, truncation=True, max_length=MAX_LENGTH) for text in texts]
    data = [{**e, "labels": label} for e, label in zip(encoded, labels, strict=True)]
    trainer = Trainer(
        model=model, args=arguments(), train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer)
    )
    return seconds(trainer)


def ours(
    encoder: str, texts: list[str], labels: list[int], *, embeddings: bool = False, layers: int = 0, bf16: bool = False
) -> float:
    model, tokenizer = load_encoder(encoder)
    freeze(model, embeddings=embeddings, layers=layers)
    inputs = Inputs(tokenizer, InputSettings(0, MAX_LENGTH))
    items = [Sentence(text) for text in texts]
    trainer = StanceTrainer(
        model=Classifier(model, 4),
        args=arguments(bf16=bf16),
        train_dataset=TrainingSentences(inputs, items, labels, 1.0, 1),
        data_collator=partial(collate, inputs),
    )
    return seconds(trainer)


def seconds(trainer: Trainer) -> float:
    trainer.remove_callback(PrinterCallback)
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--frozen-layers", type=int, default=2, help="as in the encoder's recipe (default: 2)")
    parser.add_argument("--steps", type=int, default=30, help="steps that are timed (default: 30)")
    parser.add_argument("--runs", type=int, default=3, help="how often (default: 3)")
    options = parser.parse_args()
    split = load_corpus(Path("data/corpus"), Path("data/splits.json"), TaskSpec())["train"].shuffle(seed=1)
    part = split.select(range(options.steps * BATCH))
    texts, labels = list(part["text"]), list(part["label"])
    settings: dict[str, Callable[[str, list[str], list[int]], float]] = {
        "as in transformers' example": stock,
        "batches grouped by length": ours,
        "+ embeddings frozen": partial(ours, embeddings=True),
        f"+ {options.frozen_layers} layers frozen": partial(ours, embeddings=True, layers=options.frozen_layers),
        f"+ bf16 ({'' if has_bf16() else 'not '}chosen here)": partial(
            ours, embeddings=True, layers=options.frozen_layers, bf16=True
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(options.runs):
        for name, run in settings.items():
            times[name].append(run(options.encoder, texts, labels))
    scale = len(split) / len(part)
    first = next(iter(times.values()))
    print(f"{options.encoder}, {len(split):,} sentences, of which {len(part):,} were timed {options.runs} times")
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found, first, strict=True))
        print(f"{name:<32} {statistics.median(found) * scale:>7,.0f} s per epoch   {ratio:.2f} x")


if __name__ == "__main__":
    main()
