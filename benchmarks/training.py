"""Seconds per epoch of training: `python benchmarks/training.py [--encoder mpnet]`.

What the Trainer takes as transformers' text-classification example sets it (fp32, batches in random order, padded to
their longest, nothing frozen), and what each measure of ours saves, on the same training documents; first without
context, then with that of the recipes, which transformers' example would have to put before each sentence; bf16 where
the processor or the GPU has it. A part of an epoch is timed, every setting in turn, several times; medians, scaled to
the whole epoch.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from stance.data.parts import load_parts
from stance.models.transformer.batches import TrainingBatches, collate
from stance.models.transformer.encoders import find_encoder, freeze, load_encoder
from stance.models.transformer.fit import StanceTrainer, has_bf16
from stance.models.transformer.network import Classifier
from stance.models.transformer.serve import Inputs, InputSettings
from stance.models.transformer.settings import TransformerSettings
from stance.schema import LabelledSentences, Sentence, TaskSpec

BATCH = 32
MAX_LENGTH = TransformerSettings.max_length
CONTEXT = TransformerSettings.context
CONTEXT_DROPOUT = TransformerSettings.context_dropout


def arguments(*, batch_size: int, bf16: bool = False) -> TrainingArguments:
    return TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        bf16=bf16,
        use_cpu=not torch.accelerator.is_available(),
    )


def stock(encoder: str, items: list[Sentence], labels: list[int], *, context: int = 0) -> float:
    path = find_encoder(encoder)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=4)
    data = []
    for item, label in zip(items, labels, strict=True):
        before = " ".join(item.context.splitlines()[-context:]) if context else ""
        texts = (before, item.text) if before else (item.text,)
        data.append({**tokenizer(*texts, truncation=True, max_length=MAX_LENGTH), "labels": label})
    trainer = Trainer(
        model=model,
        args=arguments(batch_size=BATCH),
        train_dataset=data,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    return seconds(trainer)


def ours(
    encoder: str,
    items: list[Sentence],
    labels: list[int],
    *,
    context: int = 0,
    embeddings: bool = False,
    bf16: bool = False,
) -> float:
    model, tokenizer = load_encoder(encoder)
    freeze(model, embeddings=embeddings, layers=0)
    inputs = Inputs(tokenizer, InputSettings(context, MAX_LENGTH))
    data = LabelledSentences(items, labels, [1.0] * len(items))
    trainer = StanceTrainer(
        model=Classifier(model, 4, context),
        args=arguments(batch_size=1, bf16=bf16),
        train_dataset=TrainingBatches(inputs, data, BATCH, CONTEXT_DROPOUT, 1),
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
    parser.add_argument("--steps", type=int, default=10, help="steps that are timed (default: 10)")
    parser.add_argument("--runs", type=int, default=3, help="how often (default: 3)")
    options = parser.parse_args()
    split = load_parts(["corpus"], TaskSpec())["train"]
    items, labels = split.sentences, split.label_numbers.tolist()
    documents = sorted({item.doc for item in items})
    random.Random(1).shuffle(documents)
    place = {doc: i for i, doc in enumerate(documents)}
    rows = sorted(range(len(items)), key=lambda row: place[items[row].doc])[: options.steps * BATCH]
    items, labels = [items[row] for row in rows], [labels[row] for row in rows]
    settings: dict[str, Callable[[str, list[Sentence], list[int]], float]] = {
        "as in transformers' example": stock,
        "batches of about one length": ours,
        "+ embeddings frozen": partial(ours, embeddings=True),
        **({"+ bf16": partial(ours, embeddings=True, bf16=True)} if has_bf16() else {}),
        f"the example, {CONTEXT} sentences before each": partial(stock, context=CONTEXT),
        f"ours, {CONTEXT} sentences before each": partial(ours, context=CONTEXT, embeddings=True, bf16=has_bf16()),
    }
    times: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(options.runs):
        for name, run in settings.items():
            times[name].append(run(options.encoder, items, labels))
    scale = len(split) / len(items)
    first = next(iter(times.values()))
    print(f"{options.encoder}, {len(split):,} sentences, of which {len(items):,} were timed {options.runs} times")
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found, first, strict=True))
        print(f"{name:<42} {statistics.median(found) * scale:>7,.0f} s per epoch   {ratio:.2f} x")


if __name__ == "__main__":
    main()
