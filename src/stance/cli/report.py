"""`stance report`: a report's pages, made anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stance.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "report",
        help="make a report's pages anew",
        description="Make report.md and report.html of a report folder anew, from its metrics.json and "
        "predictions.jsonl.",
    )
    command.add_argument("folder", metavar="DIR", type=Path, help="a report folder that train.py or evaluate.py wrote")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from stance.evaluation.report_folder import write_pages

    write_pages(options.folder)
    print(options.folder / "report.html")
    return 0
