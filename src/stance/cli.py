"""The command line: `stance predict`, `analyze`, `export`, `report`, `compare`, `data audit` and `data split`."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any, BinaryIO, TextIO

from stance import __version__
from stance.analysis import NOT_NAMED, ArticleStance, HolderStance, analyze, by_holder
from stance.atomic import whole_file
from stance.data.rows import FORMATS, BadRow, Row, file_format, no_column, open_file, read_rows
from stance.documents import STANDARD_INPUT, DocumentError, find_files, read_document
from stance.models import BATCH_SIZE
from stance.prediction import load, predict
from stance.schema import Prediction, StanceError, TruncationWarning
from stance.text import visible

EXIT_ERROR = 1
EXIT_REJECTED = 3

PREDICT_HELP = """\
Classify the stance of sentences toward lifting an arms embargo: for, against, conditional or none.

Sentences are given as arguments, or with --input as a file or standard input, in one of these formats:
  lines   plain text, a sentence a line; empty lines are skipped            (.txt)
  csv     with a header line; the sentence is in the column "text"         (.csv)
  jsonl   a JSON object a line; the sentence is in the field "text"        (.jsonl, .ndjson)
Text is UTF-8. For an article, put each of its sentences on a line of its own.

What comes out is every row with its other columns kept, and these added:
  prediction      the most probable label; nothing where it is less probable than --min-confidence
  confidence      its probability, calibrated
  probabilities   the probability of each label (in CSV: a column p_LABEL for each)
as CSV if the input is CSV, else as JSONL. Rows keep their order.

A row that cannot be scored (broken JSON or encoding, no text, blank text …) does not stop the others: it goes to
OUTPUT.rejects.jsonl with its line number and the reason, or to standard error if there is no --output.
"""
PREDICT_EXAMPLES = """\
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

ANALYZE_HELP = """\
Find who stands where in articles: every sentence with a stance toward lifting an arms embargo, and whose stance it is.

An article is a file of UTF-8 text, or an HTML page (pip install 'embargo-stance[html]'); a folder stands for its files
that end with .txt, .text, .md, .html, .htm or .xhtml, and - for standard input. The names of one holder are merged:
Haftar is Field Marshal Khalifa Hafter. Formats:
  table   of each article a table of holders, with their clearest sentences
  json    of each article a JSON object on a line: counts, holders, and all sentences with their offsets
  html    one page of all articles with their stances marked, and a table of holders that filters them
With --by holder, table and json are of all articles together, and of each holder by date where articles have one: from
the page, else from the file's name, as YYYY-MM-DD.

An article that cannot be read does not stop the others.
"""
ANALYZE_EXAMPLES = """\
examples:
  stance analyze article.txt
  stance analyze articles/ --by holder
  stance analyze page.html --format html --output stances.html
  curl -s https://example.org/news | stance analyze - --format json

exit codes:
  0  every article was read
  1  none was: no such file, no such model …; the error says what to do
  2  the command line was not understood
  3  some articles could not be read, the rest was
"""
TABLE_WIDTH = 78


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

    command = commands.add_parser(
        "predict",
        help="classify sentences",
        description=PREDICT_HELP,
        epilog=PREDICT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("sentences", nargs="*", metavar="SENTENCE", help="a sentence to classify")
    command.add_argument("--input", metavar="FILE", help="read rows from FILE; - is standard input")
    _add_output(command)
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
    _add_model(command)
    command.add_argument(
        "--min-confidence",
        metavar="P",
        type=float,
        default=0.0,
        help="leave the prediction empty where its probability is below P, 0 to 1 (default: 0)",
    )
    command.set_defaults(run=_predict, parser=command)

    command = commands.add_parser(
        "analyze",
        help="find who stands where in articles",
        description=ANALYZE_HELP,
        epilog=ANALYZE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("paths", nargs="+", metavar="FILE", help="an article, a folder of them, or - (standard input)")
    command.add_argument("--format", choices=["table", "json", "html"], default="table", help="default: table")
    command.add_argument("--by", choices=["holder"], help="one table of all articles")
    _add_output(command)
    _add_model(command)
    command.set_defaults(run=_analyze, parser=command)

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
    _add_corpus(command)
    _add_real(command)
    command.set_defaults(run=_export)

    command = commands.add_parser(
        "report",
        help="make a report's pages anew",
        description="Make report.md and report.html of a report folder anew, from its metrics.json and "
        "predictions.jsonl.",
    )
    command.add_argument("folder", metavar="DIR", type=Path, help="a report folder that train.py or evaluate.py wrote")
    command.set_defaults(run=_report)

    command = commands.add_parser(
        "compare",
        help="compare reports on the same test set",
        description="Compare report folders on the same test set with the first of them: differences with their "
        "intervals, labels, slices, and the sentences that changed sides. Prints Markdown.",
    )
    command.add_argument("first", metavar="A", type=Path, help="the report folder to compare with")
    command.add_argument("others", metavar="B", type=Path, nargs="+", help="other report folders")
    command.set_defaults(run=_compare)

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
        _add_corpus(command)
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
    _add_corpus(command)
    _add_real(command)
    command.set_defaults(run=_soft_labels)
    command = data_commands.add_parser(
        "fetch",
        help="fetch the text of the real passages from the public repositories that hold it",
        description="Builds the text of the real passages, which belongs to others, from the public GitHub "
        "repositories named in the index, at the commits named there. Each sentence is checked against its SHA-256.",
    )
    _add_real(command)
    command.add_argument(
        "--from",
        dest="clones",
        metavar="DIR",
        type=Path,
        help="read clones at DIR/OWNER/NAME with git, without the network",
    )
    command.add_argument("--host", metavar="URL", default=None, help=argparse.SUPPRESS)
    command.set_defaults(run=_fetch)
    return parser


def _add_real(command: argparse.ArgumentParser) -> None:
    command.add_argument("--real-index", metavar="FILE", type=Path, default=Path("data/real/index.jsonl"))
    command.add_argument(
        "--real-dir",
        metavar="DIR",
        type=Path,
        help="folder of the real text (default: $STANCE_REAL, else data/real/text)",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output", metavar="FILE", help="write to FILE, whole or not at all (default: standard output)"
    )


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", metavar="DIR", help="a model folder (default: $STANCE_MODEL, else the model in the package)"
    )


def _add_corpus(command: argparse.ArgumentParser) -> None:
    for name, default in (("corpus", "data/corpus"), ("splits", "data/splits.json")):
        command.add_argument(f"--{name}", metavar="PATH", type=Path, default=Path(default), help=f"default: {default}")


def _predict(options: argparse.Namespace) -> int:
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
        output = _standard_output()
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
        output = stack.enter_context(whole_file(options.output)) if options.output else _standard_output()
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


def _standard_output() -> TextIO:
    # The output is UTF-8 whatever the locale, as the input is, and CSV ends its own lines.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout


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
    for row in rows:
        if isinstance(row, BadRow):
            rejects.add(row)
        elif reason := writer.why_unfit(row.values) or _why_unfit(row.values, options):
            rejects.add(BadRow(row.line, reason, row.values))
        else:
            yield row


def _why_unfit(values: dict[str, Any], options: argparse.Namespace) -> str | None:
    text, context = values[options.text_column], values.get(options.context_column)
    if not isinstance(text, str):
        return f"{options.text_column!r} must be a string, not {type(text).__name__}"
    if not text.strip():
        return f"{options.text_column!r} is blank"
    if not isinstance(context, (str, type(None))):
        return f"{options.context_column!r} must be a string, not {type(context).__name__}"
    return None


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
        self.added = ["prediction", "confidence", "probabilities"]

    def why_unfit(self, columns: Collection[str]) -> str | None:
        """Why a row with these columns cannot be scored, or None."""
        if self.options.text_column not in columns:
            return no_column(self.options.text_column, columns)
        clash = [column for column in self.added if column in columns]
        return f"there is a column {clash[0]!r} already; rename it" if clash else None

    def check_columns(self, columns: list[str]) -> None:
        """Only CSV has the same columns in every row."""

    def write(self, values: dict[str, Any], prediction: Prediction) -> None:
        """Write a row with its prediction."""
        added = (prediction.label, prediction.confidence, prediction.probabilities)
        line = {**values, **dict(zip(self.added, added, strict=True))}
        self.output.write(json.dumps(line, ensure_ascii=False) + "\n")


class _CsvWriter(_JsonlWriter):
    """Rows as CSV; the header is written as soon as the input's is known."""

    def __init__(self, output: TextIO, options: argparse.Namespace, labels: Sequence[str]) -> None:
        super().__init__(output, options)
        self.writer = csv.writer(output, lineterminator="\n")
        self.added = ["prediction", "confidence", *(f"p_{label}" for label in labels)]

    def check_columns(self, columns: list[str]) -> None:
        """Write the header.

        Raises:
            StanceError: if no row with these columns could be scored.
        """
        reason = self.why_unfit(columns)
        context = self.options.context_column
        if not reason and context and context not in columns:
            reason = no_column(context, columns)
        if reason:
            raise StanceError(f"{self.options.input}: {reason}")
        self.writer.writerow([*columns, *self.added])

    def write(self, values: dict[str, Any], prediction: Prediction) -> None:
        """Write a row with its prediction."""
        figures = [prediction.confidence, *prediction.probabilities.values()]
        self.writer.writerow([*values.values(), prediction.label, *(f"{p:.6f}" for p in figures)])


def _analyze(options: argparse.Namespace) -> int:
    if options.by and options.format == "html":
        options.parser.error("--by goes with --format table and json: the page has its table beside the text")
    files = list(find_files(options.paths))
    model = load(options.model)
    articles, bad = [], 0
    for file in files:
        try:
            document = read_document(_content(file), "standard input" if file == STANDARD_INPUT else file)
        except DocumentError as error:
            bad += 1
            print(f"stance: {error}", file=sys.stderr)
        else:
            articles.append(replace(analyze(document.text, model=model), name=document.name, date=document.date))
    if not articles:
        return EXIT_ERROR
    with whole_file(options.output) if options.output else nullcontext(_standard_output()) as output:
        if options.format == "html":
            from stance.page import render_page

            output.write(render_page(articles))
        elif options.by:
            holders = by_holder(articles, by_date=True)
            if options.format == "json":
                output.writelines(json.dumps(holder.to_dict(), ensure_ascii=False) + "\n" for holder in holders)
            else:
                output.write(_holder_table(holders, articles[0].stance_labels, of_all=True))
        elif options.format == "json":
            output.writelines(json.dumps(article.to_dict(), ensure_ascii=False) + "\n" for article in articles)
        else:
            output.write("\n".join(map(_article_table, articles)))
    return EXIT_REJECTED if bad else 0


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise DocumentError(f"{file} cannot be read: {error.strerror}") from None


def _article_table(article: ArticleStance) -> str:
    counts = ", ".join(f"{label} {count}" for label, count in article.counts.items())
    date = f" ({article.date})" if article.date else ""
    head = f"{article.name}{date}: {len(article.sentences)} sentences: {counts}\n"
    return head + _holder_table(article.holders, article.stance_labels, of_all=False)


def _holder_table(holders: Sequence[HolderStance], stance_labels: Sequence[str], *, of_all: bool) -> str:
    if not holders:
        return "  no sentence takes a stance\n"
    rows = [["holder", *(["date", "articles"] if of_all else []), *stance_labels, "clearest sentence"]]
    for holder in holders:
        name = visible(holder.holder or NOT_NAMED) if holder.date is None else ""
        over_all = [holder.date or "all", str(holder.articles)] if of_all else []
        clearest = f"{holder.clearest.prediction.confidence:.2f} {holder.clearest.prediction.label}: "
        quoted = shorten(visible(holder.clearest.text), TABLE_WIDTH, placeholder=" …")
        rows.append([name, *over_all, *map(str, holder.counts.values()), clearest + quoted])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)),
        ]
        lines.append("  " + "  ".join([*cells, row[-1]]) + "\n")
    return "".join(lines)


def _export(options: argparse.Namespace) -> int:
    from stance.data.labelled import load_files
    from stance.data.parts import load_parts
    from stance.models.folder import read_description
    from stance.training import export_folder

    task = load(options.model).task
    if options.validation:
        validation = load_files({"validation": options.validation}, task, seed=0)["validation"]
    else:
        validation = load_parts(
            list(read_description(options.model)["training_data"]["parts"]),
            task,
            corpus_dir=options.corpus,
            splits=options.splits,
            real_index=options.real_index,
            real_dir=options.real_dir,
        )["validation"]
    metrics = export_folder(options.model, options.out, validation)
    print(f"{options.out}: macro-F1 {metrics['macro_f1']:.3f} on {metrics['sentences']:,} validation sentences")
    return 0


def _report(options: argparse.Namespace) -> int:
    from stance.evaluation.report import write_report

    write_report(options.folder)
    print(options.folder / "report.html")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from stance.evaluation.compare import compare

    print(compare([options.first, *options.others]))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from stance.data.audit import audit, suspicious_labels

    for part in audit(options.corpus, options.splits):
        print(part, end="\n\n", flush=True)
    if options.suspicious:
        print(suspicious_labels(options.corpus, options.splits))
    return 0


def _split(options: argparse.Namespace) -> int:
    from stance.data.corpus import read_corpus, read_splits
    from stance.data.splits import make_splits, write_splits
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
    from stance.data.corpus import split_corpus
    from stance.data.labelled import make_datasets, sentences
    from stance.data.real import read_real
    from stance.models.soft_labels import soft_labels, write_soft_labels
    from stance.prediction import load

    teachers = [load(model) for model in options.models]
    task = teachers[0].task
    parts = {
        "corpus": split_corpus(options.corpus, options.splits, task)["train"],
        "real": read_real(options.real_index, options.real_dir, task)["train"],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        items = sentences(make_datasets({"train": rows}, task)["train"])
        file = options.output / f"{part}.npz"
        write_soft_labels(file, items, soft_labels(teachers, items), task)
        print(f"{file}: {len(items):,} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
