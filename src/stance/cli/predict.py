"""`stance predict`: classify sentences, or the rows of a file."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from stance.atomic import whole_file
from stance.cli.options import EXIT_REJECTED, add_model, add_output, standard_output
from stance.data.rows import FORMATS, BadRow, Field, Row, file_format, no_column, open_file, read_rows, why_unfit
from stance.models.base import BATCH_SIZE
from stance.prediction import load, predict
from stance.schema import Prediction, StanceError

if TYPE_CHECKING:
    from stance.cli.options import Commands

HELP = """\
Classify the stance of sentences toward lifting an arms embargo: for, against, conditional or none.

Sentences are given as arguments, or with --input as a file or standard input, in one of these formats:
  lines   plain text, a sentence a line; empty lines are skipped            (.txt)
  csv     with a header line; the sentence is in the column "text"         (.csv)
  jsonl   a JSON object a line; the sentence is in the field "text"        (.jsonl, .ndjson)
Text is UTF-8. For an article, put each of its sentences on a line of its own.

What comes out is every row with its other columns kept, and these added:
  label           the most probable label; empty where it is less probable than --min-confidence
  confidence      its probability, calibrated
  probabilities   the probability of each label (in CSV: a column p_LABEL for each)
  holder          whose stance it is; empty where the label is none, or the model does not look for holders
as CSV if the input is CSV, else as JSONL. Rows keep their order.

A row that cannot be scored (broken JSON or encoding, no text, blank text …) does not stop the others: it goes to
OUTPUT.rejects.jsonl with its line number and the reason, or to standard error if there is no --output.
"""
EXAMPLES = """\
examples:
  stance predict "Egypt asked the Security Council to lift the arms embargo on Libya."
  stance predict --input sentences.txt --output stances.jsonl
  stance predict --input speeches.csv --text-column sentence --output stances.csv
  cat rows.jsonl | stance predict --input - --input-format jsonl > stances.jsonl

exit codes:
  0  every row was scored
  1  nothing was written: unreadable input, no such model …; the error says what to do
  2  the command line was not understood
  3  some rows were rejected, the rest was scored
"""


def add(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "predict",
        help="classify sentences",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("sentences", nargs="*", metavar="SENTENCE", help="a sentence to classify")
    command.add_argument("--input", metavar="FILE", help="read rows from FILE; - is standard input")
    add_output(command)
    command.add_argument(
        "--input-format",
        choices=sorted(set(FORMATS.values())),
        help="the input's format (default: by the suffix of FILE; lines for standard input)",
    )
    command.add_argument(
        "--text-column",
        metavar="NAME",
        default="text",
        help='the column that holds the sentence (default: "text")',
    )
    command.add_argument(
        "--context-column",
        metavar="NAME",
        help="the column that holds the text before the sentence, for models that read it (default: none)",
    )
    add_model(command)
    command.add_argument(
        "--min-confidence",
        metavar="P",
        type=float,
        default=0.0,
        help="leave the label empty where its probability is below P, 0 to 1 (default: 0)",
    )
    command.set_defaults(run=run, parser=command)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if not 0 <= options.min_confidence <= 1:
        options.parser.error(f"--min-confidence must be from 0 to 1, not {options.min_confidence}")
    if bool(options.sentences) == bool(options.input):
        options.parser.error("give sentences, or --input FILE (one of the two); --help shows examples")
    if options.sentences:
        for name in ("output", "input_format", "context_column"):
            if getattr(options, name):
                options.parser.error(f"--{name.replace('_', '-')} goes with --input")
        blank = next((i for i, sentence in enumerate(options.sentences) if not sentence.strip()), None)
        if blank is not None:
            options.parser.error(f"sentence {blank + 1} is blank")
        predictions = predict(options.sentences, model=options.model, min_confidence=options.min_confidence)
        output = standard_output()
        for sentence, prediction in zip(options.sentences, predictions, strict=True):
            output.write(f"{prediction.label or '–':<12} {prediction.confidence:.2f}  {sentence}\n")
        return 0

    if options.input == "-":
        format_ = options.input_format or "lines"
    else:
        format_ = options.input_format or file_format(Path(options.input))
    written = "csv" if format_ == "csv" else "jsonl"
    if options.output and FORMATS.get(Path(options.output).suffix.lower(), written) not in (written, "lines"):
        options.parser.error(f"what comes of {format_} is written as {written}: name the output .{written}")
    model = load(options.model)  # before any file is opened for writing
    with ExitStack() as stack:
        source: BinaryIO
        if options.input == "-":
            source, name = sys.stdin.buffer, "standard input"
        else:
            source, name = stack.enter_context(open_file(Path(options.input))), options.input
        output = stack.enter_context(whole_file(options.output)) if options.output else standard_output()
        rejects = _Rejects(options.output)
        stack.push(rejects.close)
        writer = _CsvWriter(output, options, model.task.labels) if format_ == "csv" else _JsonlWriter(output, options)
        rows = read_rows(source, format_, name=name, on_header=writer.check_columns)
        for batch in _batches(_scorable(rows, options, writer, rejects)):
            contexts = [row.values.get(options.context_column) for row in batch] if options.context_column else None
            texts = [row.values[options.text_column] for row in batch]
            predictions = predict(texts, context=contexts, model=model, min_confidence=options.min_confidence)
            for row, prediction in zip(batch, predictions, strict=True):
                writer.write(row.values, prediction)
    if rejects.count:
        where = f": see {rejects.file}" if rejects.file else ""
        print(f"stance: {rejects.count} row(s) rejected{where}", file=sys.stderr)
        return EXIT_REJECTED
    return 0


class _Rejects:
    """Rows that could not be scored: beside the output file, or on standard error."""

    def __init__(self, output: str | None) -> None:
        self.file = Path(f"{output}.rejects.jsonl") if output else None
        self.count = 0
        self._stack = ExitStack()
        self._stream: TextIO | None = None

    def add(self, bad: BadRow) -> None:
        if self._stream is None:
            self._stream = self._stack.enter_context(whole_file(self.file)) if self.file else sys.stderr
        self.count += 1
        record = {"line": bad.line, "reason": bad.reason, "row": bad.row}
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self, *exception: Any) -> None:
        """Put the file in its place; on an error leave none, and after a clean run no older one."""
        self._stack.__exit__(*exception)
        if self.file and not self.count and exception[0] is None:
            self.file.unlink(missing_ok=True)


def _scorable(
    rows: Iterator[Row | BadRow], options: argparse.Namespace, writer: _JsonlWriter, rejects: _Rejects
) -> Iterator[Row]:
    fields = _fields(options)
    for row in rows:
        if isinstance(row, BadRow):
            rejects.add(row)
        elif reason := writer.clash(row.values) or why_unfit(row.values, fields):
            rejects.add(BadRow(row.line, reason, row.values))
        else:
            yield row


def _fields(options: argparse.Namespace) -> dict[str, Field]:
    """What a row must hold to be scored."""
    fields = {options.text_column: Field(may_be_blank=False)}
    if options.context_column:
        fields[options.context_column] = Field(required=False)
    return fields


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    from tqdm import tqdm

    batch: list[Row] = []
    for row in tqdm(rows, desc="predicting", unit=" rows", leave=False, disable=None):
        batch.append(row)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


class _JsonlWriter:
    """Rows as JSON objects, a line each."""

    def __init__(self, output: TextIO, options: argparse.Namespace) -> None:
        self.output = output
        self.options = options
        self.added = ["label", "confidence", "probabilities", "holder"]

    def clash(self, columns: Collection[str]) -> str | None:
        """Say which column of a row has the name of one that is added, or return None."""
        clash = [column for column in self.added if column in columns]
        return f"there is a column {clash[0]!r} already; rename it" if clash else None

    def check_columns(self, columns: list[str]) -> None:
        """Only CSV has the same columns in every row."""

    def write(self, values: dict[str, Any], prediction: Prediction) -> None:
        """Write a row with its prediction."""
        added = (prediction.label, prediction.confidence, prediction.probabilities, prediction.holder)
        line = {**values, **dict(zip(self.added, added, strict=True))}
        self.output.write(json.dumps(line, ensure_ascii=False) + "\n")


class _CsvWriter(_JsonlWriter):
    """Rows as CSV; the header is written as soon as the input's is known."""

    def __init__(self, output: TextIO, options: argparse.Namespace, labels: Sequence[str]) -> None:
        super().__init__(output, options)
        self.writer = csv.writer(output, lineterminator="\n")
        self.added = ["label", "confidence", *(f"p_{label}" for label in labels), "holder"]

    def check_columns(self, columns: list[str]) -> None:
        """Write the header.

        Raises:
            StanceError: if no row with these columns could be scored.
        """
        absent = next((column for column in _fields(self.options) if column not in columns), None)
        if reason := no_column(absent, columns) if absent else self.clash(columns):
            raise StanceError(f"{self.options.input}: {reason}")
        self.writer.writerow([*columns, *self.added])

    def write(self, values: dict[str, Any], prediction: Prediction) -> None:
        """Write a row with its prediction."""
        figures = [prediction.confidence, *prediction.probabilities.values()]
        added = [prediction.label, *(f"{p:.6f}" for p in figures), prediction.holder]
        self.writer.writerow([*values.values(), *added])
