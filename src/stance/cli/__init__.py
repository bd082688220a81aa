"""The command line: a file for each command."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stance import __version__
from stance.cli import analyze, compare, data, export, predict, report
from stance.cli.options import EXIT_ERROR
from stance.schema import StanceError, TruncationWarning


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows `stance`; by default those of the process.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        with _truncation_told_once():
            code: int = options.run(options)
        sys.stdout.flush()
    except StanceError as error:
        print(f"stance: error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except BrokenPipeError:
        # The reader of our output left, as `head` does. What is still buffered must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except KeyboardInterrupt:
        return 130
    return code


@contextmanager
def _truncation_told_once() -> Iterator[None]:
    """Sum up what the warnings of all batches say, in one line."""
    told: list[TruncationWarning] = []
    show = warnings.showwarning

    def keep(message: Warning | str, *details: Any, **options: Any) -> None:
        if isinstance(message, TruncationWarning):
            told.append(message)
        else:
            show(message, *details, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", TruncationWarning)
        warnings.showwarning = keep
        yield
    if told:
        print(f"stance: {TruncationWarning(sum(w.count for w in told), told[0].max_length)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stance", description="Who stands where on lifting an arms embargo.")
    parser.add_argument("--version", action="version", version=f"stance {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (predict, analyze, export, report, compare, data):
        command.add(commands)
    return parser
