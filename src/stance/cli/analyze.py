"""`stance analyze`: who stands where in articles."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from stance.analysis import NOT_NAMED, ArticleStance, HolderStance, analyze, by_holder
from stance.atomic import whole_file
from stance.cli.options import EXIT_ERROR, EXIT_REJECTED, add_model, add_output, standard_output
from stance.prediction import load
from stance.text.characters import visible
from stance.text.documents import STANDARD_INPUT, DocumentError, find_files, read_document

if TYPE_CHECKING:
    from stance.cli.options import Commands

HELP = """\
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
EXAMPLES = """\
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


def add(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "analyze",
        help="find who stands where in articles",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("paths", nargs="+", metavar="FILE", help="an article, a folder of them, or - (standard input)")
    command.add_argument("--format", choices=["table", "json", "html"], default="table", help="default: table")
    command.add_argument("--by", choices=["holder"], help="one table of all articles")
    add_output(command)
    add_model(command)
    command.set_defaults(run=run, parser=command)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
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
    with whole_file(options.output) if options.output else nullcontext(standard_output()) as output:
        if options.format == "html":
            from stance.pages.article import render_page

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
