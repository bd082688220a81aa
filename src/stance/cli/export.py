"""`stance export`: a small model folder of a trained transformer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stance.cli.options import add_corpus, add_real, chosen_parts
from stance.prediction import load

if TYPE_CHECKING:
    from stance.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "export",
        help="make a small model folder of a trained transformer",
        description="Export a transformer that train.py wrote to ONNX in int8, check it and calibrate it on labelled "
        "validation data, and write a model folder with nothing but what predict needs.",
    )
    command.add_argument("model", metavar="DIR", type=Path, help="the trained model's folder")
    command.add_argument("out", metavar="OUT", type=Path, help="the model folder to write")
    command.add_argument(
        "--validation",
        metavar="FILE",
        type=Path,
        help="labelled sentences, CSV or JSONL (default: the validation split of what the model was trained on)",
    )
    add_corpus(command)
    add_real(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from stance.data.labelled import load_files
    from stance.models.folder import read_description
    from stance.training import export_folder

    task = load(options.model).task
    if options.validation:
        validation = load_files({"validation": options.validation}, task, seed=0)["validation"]
    else:
        validation = chosen_parts(options, list(read_description(options.model)["training_data"]["parts"]), task)[
            "validation"
        ]
    metrics = export_folder(options.model, options.out, validation)
    print(f"{options.out}: macro-F1 {metrics['macro_f1']:.3f} on {metrics['sentences']:,} validation sentences")
    return 0
