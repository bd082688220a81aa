"""Rows of CSV, JSONL and plain-text files, the bad ones told apart and located."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stance.schema import StanceError

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}
MAX_LISTED = 20
TYPE_NAMES: dict[type, str] = {str: "a string", dict: "an object"}
csv.field_size_limit(2**31 - 1)  # a cell may hold an article


@dataclass(frozen=True)
class Row:
    """A row that could be read: the line it begins on (from 1) and its values by column name."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read: the line it begins on (from 1), the reason, and the row as far as known."""

    line: int
    reason: str
    row: Any


class DataError(StanceError, ValueError):
    """Labelled data cannot be used as they are."""

    @classmethod
    def of_rows(cls, bad: Iterable[tuple[Path, BadRow]]) -> DataError:
        """List file, line and reason of the first bad rows, and how many there are."""
        bad = list(bad)
        lines = [f"{file}:{row.line}: {row.reason}" for file, row in bad[:MAX_LISTED]]
        if len(bad) > MAX_LISTED:
            lines.append(f"… and {len(bad) - MAX_LISTED} more")
        return cls(f"{len(bad)} bad row{'s' * (len(bad) != 1)}; correct or remove them:\n" + "\n".join(lines))


@dataclass(frozen=True)
class Field:
    """What a column of a row must hold.

    Args:
        type: `str`, `int` (also as digits in a string, as CSV has it) or `dict`.
        required: whether a row must have it. Where it is not required, it may also be None.
        may_be_blank: whether a string may be empty or white space.
        one_of: the values that are valid; None for any.
    """

    type: type = str
    required: bool = True
    may_be_blank: bool = True
    one_of: tuple[str, ...] | None = None

    def why_unfit(self, name: str, values: Mapping[str, Any]) -> str | None:
        """Say why a row's value is not valid, or return None."""
        if name not in values:
            return no_column(name, values) if self.required else None
        if values[name] is None:
            return f"{name!r} is empty" if self.required else None
        value: Any = values[name]
        if self.type is int:
            digits = str(value)
            whole = digits.isascii() and digits.isdigit() and len(digits) < 10
            blank = value == "" and not self.required
            return None if whole or blank else f"{name!r} must be a whole number, not {value!r}"
        if not isinstance(value, self.type):
            return f"{name!r} must be {TYPE_NAMES[self.type]}, not {type(value).__name__}"
        if self.one_of is not None and value not in self.one_of:
            if not value and not self.required:
                return None
            return f"{name!r} is {value!r}, not one of {', '.join(self.one_of)}"
        if not self.may_be_blank and not str(value).strip():
            return f"{name!r} is blank"
        return None


def why_unfit(values: Mapping[str, Any], fields: Mapping[str, Field]) -> str | None:
    """Say why a row cannot be used: the first column that is missing or not valid. Return None if it can.

    Args:
        values: the row.
        fields: column name to what it must hold; other columns are not looked at.
    """
    return next((reason for name, field in fields.items() if (reason := field.why_unfit(name, values))), None)


def read_checked(
    file: Path, fields: Mapping[str, Field], also: Callable[[dict[str, Any]], str | None] = lambda _: None
) -> list[Row]:
    """Read a labelled file of which every row must fit.

    Args:
        file: CSV or JSONL.
        fields: see `why_unfit`.
        also: says why a row that fits `fields` cannot be used all the same, or returns None.

    Raises:
        DataError: if the file cannot be read, has a bad row (lists them), or no rows.
    """
    good: list[Row] = []
    bad: list[tuple[Path, BadRow]] = []
    for row in read_file(file):
        if isinstance(row, Row) and (reason := why_unfit(row.values, fields) or also(row.values)):
            row = BadRow(row.line, reason, row.values)
        if isinstance(row, BadRow):
            bad.append((file, row))
        else:
            good.append(row)
    if bad:
        raise DataError.of_rows(bad)
    if not good:
        raise DataError(f"{file} holds no rows")
    return good


def file_format(file: Path) -> str:
    """The format that a file's suffix stands for: `csv`, `jsonl` or `lines`.

    Raises:
        DataError: if the suffix is none of `.csv`, `.jsonl`, `.ndjson`, `.txt`.
    """
    try:
        return FORMATS[file.suffix.lower()]
    except KeyError:
        raise DataError(
            f"{file}: the format of a {file.suffix or 'suffixless'} file is not known; name it {', '.join(FORMATS)}"
        ) from None


def read_file(file: Path) -> Iterator[Row | BadRow]:
    """Read a labelled file, CSV or JSONL by its suffix.

    Raises:
        DataError: if the file cannot be opened, or is neither.
    """
    format_ = file_format(file)
    if format_ == "lines":
        raise DataError(f"{file}: labelled data are .csv or .jsonl, with columns 'text' and 'label'")
    with open_file(file) as stream:
        yield from read_rows(stream, format_, name=str(file))


def open_file(file: Path) -> BinaryIO:
    """Open a file for `read_rows`.

    Raises:
        DataError: if it cannot be opened.
    """
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None


def read_rows(
    stream: BinaryIO, format_: str, *, name: str, on_header: Callable[[list[str]], None] | None = None
) -> Iterator[Row | BadRow]:
    """Read rows one by one, in constant memory.

    CSV has a header line; empty lines of all formats are skipped. Text is UTF-8, with or without a byte order
    mark. A plain text line becomes the value of the column `text`.

    Args:
        stream: a binary stream.
        format_: `csv`, `jsonl` or `lines`.
        name: the file's name, for errors.
        on_header: called with the column names of a CSV file, before its first row.

    Raises:
        DataError: if a CSV file has no usable header.
    """
    # Bytes that are not UTF-8 become lone surrogates, so that the row that holds them can be told.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        if format_ == "csv":
            yield from _csv_rows(text, name, on_header)
        else:
            read_line = _json_row if format_ == "jsonl" else _text_row
            for line, content in enumerate(text, start=1):
                if content.strip():
                    yield read_line(line, content.rstrip("\r\n"))
    finally:
        if not stream.closed:
            text.detach()


def _text_row(line: int, content: str) -> Row | BadRow:
    if reason := _why_broken(content):
        return BadRow(line, reason, _repaired(content))
    return Row(line, {"text": content})


def _json_row(line: int, content: str) -> Row | BadRow:
    if reason := _why_broken(content):
        return BadRow(line, reason, _repaired(content))
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        return BadRow(line, f"not JSON: {error}", content)
    # Only an escape can put half of a pair into text that is UTF-8.
    if "\\u" in content and _why_broken(json.dumps(values, ensure_ascii=False)):
        return BadRow(line, "holds half of a surrogate pair (\\ud800 to \\udfff)", content)
    if not isinstance(values, dict):
        return BadRow(line, f"not a JSON object but {type(values).__name__}", values)
    return Row(line, values)


def _csv_rows(
    text: io.TextIOWrapper, name: str, on_header: Callable[[list[str]], None] | None
) -> Iterator[Row | BadRow]:
    reader = csv.reader(text, strict=True)
    header: list[str] = []
    line = 1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            # What follows a broken quotation cannot be told into rows.
            yield BadRow(line, f"not CSV: {error}; the rest of the file was not read", None)
            return
        if not values:
            pass
        elif not header:
            header = [column.strip() for column in values]
            if len(set(header)) < len(header) or "" in header or _why_broken("".join(header)):
                raise DataError(f"{name}:{line}: the header must name each column once, in UTF-8: {header}")
            if on_header:
                on_header(header)
        elif len(values) != len(header):
            yield BadRow(line, f"{len(values)} values for {len(header)} columns", [_repaired(v) for v in values])
        elif reason := _why_broken("".join(values)):
            yield BadRow(line, reason, [_repaired(v) for v in values])
        else:
            yield Row(line, dict(zip(header, values, strict=True)))
        line = reader.line_num + 1
    if not header:
        raise DataError(f"{name} is empty; its first line must name the columns")


def no_column(column: str, columns: Iterable[str]) -> str:
    """The reason why a row cannot be used that lacks a column."""
    return f"no column {column!r} (there are {', '.join(map(repr, columns)) or 'none'})"


def _why_broken(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "not UTF-8"
    return "holds a NUL character; is it UTF-16?" if "\0" in text else None


def _repaired(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
