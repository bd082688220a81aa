"""What several commands share: their options, exit codes, and standard output."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stance.data.labelled import LabelledData
    from stance.schema import TaskSpec

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_ERROR = 1
EXIT_REJECTED = 3


def add_real(command: argparse.ArgumentParser) -> None:
    """Add `--real-index` and `--real-dir`."""
    command.add_argument("--real-index", metavar="FILE", type=Path, default=Path("data/real/index.jsonl"))
    command.add_argument(
        "--real-dir",
        metavar="DIR",
        type=Path,
        help="folder of the real text (default: $STANCE_REAL, else data/real/text)",
    )


def chosen_parts(options: argparse.Namespace, parts: Sequence[str], task: TaskSpec) -> dict[str, LabelledData]:
    """Load parts of the labelled data from where `--corpus`, `--splits`, `--real-index` and `--real-dir` say."""
    from stance.data.parts import load_parts

    return load_parts(
        parts,
        task,
        corpus_dir=options.corpus,
        splits=options.splits,
        real_index=options.real_index,
        real_dir=options.real_dir,
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """Add `--output`."""
    command.add_argument(
        "--output", metavar="FILE", help="write to FILE, whole or not at all (default: standard output)"
    )


def add_model(command: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    command.add_argument(
        "--model", metavar="DIR", help="a model folder (default: $STANCE_MODEL, else the model in the package)"
    )


def add_corpus(command: argparse.ArgumentParser) -> None:
    """Add `--corpus` and `--splits`."""
    for name, default in (("corpus", "data/corpus"), ("splits", "data/splits.json")):
        command.add_argument(f"--{name}", metavar="PATH", type=Path, default=Path(default), help=f"default: {default}")


def standard_output() -> TextIO:
    """Return standard output, as UTF-8 whatever the locale, since the input is; CSV ends its own lines."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout
