"""`stance data`: check and split the corpus, fetch real text, and label softly."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stance.cli.options import add_corpus, add_real, chosen_parts

if TYPE_CHECKING:
    from stance.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command to the command line."""
    data = commands.add_parser("data", help="check and split the labelled corpus", description="The labelled corpus.")
    data_commands = data.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (
        (
            "audit",
            _audit,
            "print counts, duplicates, agreement, sentence lengths and give-away n-grams of the corpus",
        ),
        (
            "split",
            _split,
            "split the corpus' new documents into train, validation and test; the others stay where they are",
        ),
    ):
        command = data_commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        add_corpus(command)
        command.set_defaults(run=run)
        if name == "audit":
            command.add_argument(
                "--suspicious",
                action="store_true",
                help="also list labels that a cross-validated baseline doubts (two or three minutes; needs cleanlab)",
            )
    command = data_commands.add_parser(
        "soft-labels",
        help="label the training sentences softly, by a large model that a small one is to learn from",
        description="Writes the mean probabilities that models give to the training sentences of the corpus and of the "
        "real passages, with context and without: what train.py experiment=distil learns.",
    )
    command.add_argument("models", metavar="MODEL", type=Path, nargs="+", help="model folders, such as several seeds")
    command.add_argument("--output", metavar="DIR", type=Path, default=Path("data/soft_labels"))
    add_corpus(command)
    add_real(command)
    command.set_defaults(run=_soft_labels)
    command = data_commands.add_parser(
        "fetch",
        help="fetch the text of the real passages from the public repositories that hold it",
        description="Builds the text of the real passages, which belongs to others, from the public GitHub "
        "repositories named in the index, at the commits named there. Each sentence is checked against its SHA-256.",
    )
    add_real(command)
    command.add_argument(
        "--from",
        dest="clones",
        metavar="DIR",
        type=Path,
        help="read clones at DIR/OWNER/NAME with git, without the network",
    )
    command.add_argument("--host", metavar="URL", default=None, help=argparse.SUPPRESS)
    command.set_defaults(run=_fetch)


def _audit(options: argparse.Namespace) -> int:
    from stance.audit import audit, suspicious_labels

    for part in audit(options.corpus, options.splits):
        print(part, end="\n\n", flush=True)
    if options.suspicious:
        print(suspicious_labels(options.corpus, options.splits))
    return 0


def _split(options: argparse.Namespace) -> int:
    from stance.data.corpus import read_corpus
    from stance.data.splits import make_splits, read_splits, write_splits
    from stance.schema import TaskSpec

    kept = read_splits(options.splits) if options.splits.exists() else None
    splits = make_splits(read_corpus(options.corpus, TaskSpec()), kept)
    write_splits(splits, options.splits)
    print(f"{options.splits}: " + ", ".join(f"{split} {len(docs)} documents" for split, docs in splits.items()))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from stance.data.fetch import HOST, fetch_real
    from stance.data.real import read_index, real_folder

    folder = options.real_dir or real_folder()
    lines = fetch_real(read_index(options.real_index), folder, clones=options.clones, host=options.host or HOST)
    print("\n".join(lines))
    return 0


def _soft_labels(options: argparse.Namespace) -> int:
    from stance.models.soft_labels import soft_labels, write_soft_labels
    from stance.prediction import load

    teachers = [load(model) for model in options.models]
    task = teachers[0].task
    train = chosen_parts(options, ["corpus", "real"], task)["train"]
    options.output.mkdir(parents=True, exist_ok=True)
    for part, rows in train.by_part().items():
        file = options.output / f"{part}.npz"
        write_soft_labels(file, rows.sentences, soft_labels(teachers, rows.sentences), task)
        print(f"{file}: {len(rows):,} sentences")
    return 0
