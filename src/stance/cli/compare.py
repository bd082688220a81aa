"""`stance compare`: reports on the same test set, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stance.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "compare",
        help="compare reports on the same test set",
        description="Compare report folders on the same test set with the first of them: differences with their "
        "intervals, labels, slices, and the sentences that changed sides. Prints Markdown.",
    )
    command.add_argument("first", metavar="A", type=Path, help="the report folder to compare with")
    command.add_argument("others", metavar="B", type=Path, nargs="+", help="other report folders")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    from stance.evaluation.compare import compare

    print(compare([options.first, *options.others]))
    return 0
