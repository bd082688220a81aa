import codecs
import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from stance.data.rows import BadRow, DataError, Row, file_format, read_file, read_rows

FORMATS = ["csv", "jsonl", "lines"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
COLUMN = TEXT.map(str.strip).filter(lambda name: name and not name.startswith("\ufeff"))


def read(content: bytes, format_: str) -> list[Row | BadRow]:
    return list(read_rows(io.BytesIO(content), format_, name="file"))


def read_one(content: bytes, format_: str) -> Row | BadRow:
    (row,) = read(content, format_)
    return row


CONTENT = {
    "csv": "text,n\nLift it – now.,1\nKeep it.,2\n",
    "jsonl": '{"text": "Lift it – now.", "n": "1"}\n{"text": "Keep it.", "n": "2"}\n',
    "lines": "Lift it – now.\nKeep it.\n",
}
FIRST_LINE = {"csv": 2, "jsonl": 1, "lines": 1}


def expected(format_: str) -> list[Row]:
    texts = ["Lift it – now.", "Keep it."]
    return [
        Row(FIRST_LINE[format_] + i, {"text": text} | ({"n": str(i + 1)} if format_ != "lines" else {}))
        for i, text in enumerate(texts)
    ]


@pytest.mark.parametrize("format_", FORMATS)
def test_rows_carry_values_and_line_numbers(format_: str) -> None:
    assert read(CONTENT[format_].encode(), format_) == expected(format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_byte_order_mark_is_no_part_of_the_first_value(format_: str) -> None:
    assert read(codecs.BOM_UTF8 + CONTENT[format_].encode(), format_) == expected(format_)


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("format_", FORMATS)
def test_other_line_endings_read_the_same(format_: str, ending: str) -> None:
    assert read(CONTENT[format_].replace("\n", ending).encode(), format_) == expected(format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_the_last_line_needs_no_line_break(format_: str) -> None:
    assert read(CONTENT[format_].rstrip().encode(), format_) == expected(format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_blank_lines_are_skipped_and_counted(format_: str) -> None:
    content = "\n" + CONTENT[format_].replace("\n", "\n\n")
    rows = read(content.encode(), format_)
    assert [row.values for row in rows] == [row.values for row in expected(format_)]
    assert [row.line for row in rows] == ([4, 6] if format_ == "csv" else [2, 4])


@pytest.mark.parametrize("format_", ["jsonl", "lines"])
def test_lines_of_white_space_are_skipped(format_: str) -> None:
    assert read(b" \t\n\xe2\x80\x83\n", format_) == []


def test_unicode_line_separators_do_not_end_a_line() -> None:
    text = "one\u2028two\x85three\x0bfour"
    assert read_one(text.encode(), "lines") == Row(1, {"text": text})


def test_csv_rows_after_a_quoted_line_break_keep_their_line_numbers() -> None:
    rows = read(b'text,n\n"one\ntwo\r\nthree",1\nfour,2\n', "csv")
    assert rows == [Row(2, {"text": "one\ntwo\r\nthree", "n": "1"}), Row(5, {"text": "four", "n": "2"})]


def test_csv_reads_quoted_commas_and_doubled_quotes() -> None:
    assert read_one(b'text\n"He said, ""lift it"""\n', "csv") == Row(2, {"text": 'He said, "lift it"'})


def test_csv_column_names_are_stripped() -> None:
    assert read_one(b" text , n\na,b\n", "csv") == Row(2, {"text": "a", "n": "b"})


@pytest.mark.parametrize("line", ["one", "one,2,three"])
def test_csv_row_of_another_width_is_bad_and_the_next_is_read(line: str) -> None:
    values = line.split(",")
    assert read(f"text,n\n{line}\nnext,2\n".encode(), "csv") == [
        BadRow(2, f"{len(values)} values for 2 columns", values),
        Row(3, {"text": "next", "n": "2"}),
    ]


@pytest.mark.parametrize("broken", ['"never closed\nmore\n', '"closed" early\nmore\n'])
def test_csv_broken_quotes_end_the_file_at_the_line_where_they_begin(broken: str) -> None:
    good, bad = read(f"text\ngood\n{broken}".encode(), "csv")
    assert good == Row(2, {"text": "good"})
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert "the rest of the file was not read" in bad.reason


@pytest.mark.parametrize(
    "header", ["text,text", "text, text", "text,", ",text", "text,\udcff"], ids=["twice", "stripped", "", "", "bytes"]
)
def test_csv_header_must_name_each_column_once(header: str) -> None:
    with pytest.raises(DataError, match=r"^file:1: the header must name each column once"):
        read(f"{header}\na,b\n".encode(errors="surrogateescape"), "csv")


@pytest.mark.parametrize("content", [b"", b"\n\n", codecs.BOM_UTF8], ids=["empty", "blank lines", "mark"])
def test_csv_without_a_header_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError, match="file is empty; its first line must name the columns"):
        read(content, "csv")


def test_csv_with_a_header_only_has_no_rows() -> None:
    assert read(b"text,label\n", "csv") == []


@pytest.mark.parametrize("format_", ["jsonl", "lines"])
def test_an_empty_file_has_no_rows(format_: str) -> None:
    assert read(b"", format_) == []


@pytest.mark.parametrize(
    ("format_", "content", "row"),
    [
        ("csv", b"text,n\ncaf\xe9,1\nnext,2\n", ["caf�", "1"]),
        ("jsonl", b'\n{"text": "caf\xe9"}\n{"text": "next"}\n', '{"text": "caf�"}'),
        ("lines", b"\ncaf\xe9\nnext\n", "caf�"),
    ],
)
def test_a_row_that_is_not_utf_8_is_bad_and_the_next_is_read(format_: str, content: bytes, row: object) -> None:
    bad, good = read(content, format_)
    assert bad == BadRow(2, "not UTF-8", row)
    assert isinstance(good, Row)
    assert good.values["text"] == "next"


def test_utf_16_is_told_as_not_utf_8() -> None:
    first, *_ = read("Lift it.\nKeep it.\n".encode("utf-16"), "lines")
    assert isinstance(first, BadRow)
    assert first.reason == "not UTF-8"


@pytest.mark.parametrize(
    "line", ['{"text": "a"', "text", '{"text": "a"} {"text": "b"}', "{'text': 'a'}", "[" * 100_000]
)
def test_broken_json_is_bad_and_the_next_row_is_read(line: str) -> None:
    bad, good = read(f'{line}\n{{"text": "b"}}\n'.encode(), "jsonl")
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.row) == (1, line)
    assert bad.reason.startswith("not JSON: ")
    assert good == Row(2, {"text": "b"})


@pytest.mark.parametrize(
    ("line", "type_"), [("[1]", "list"), ('"a"', "str"), ("1", "int"), ("null", "NoneType"), ("true", "bool")]
)
def test_json_that_is_no_object_is_bad(line: str, type_: str) -> None:
    assert read_one(line.encode(), "jsonl") == BadRow(1, f"not a JSON object but {type_}", json.loads(line))


@pytest.mark.parametrize(
    "line",
    [r'{"text": "\ud800"}', r'{"text": "\udc00\ud800"}', r'{"\udfff": "a"}', r'{"a": [{"b": "\udbff"}]}'],
)
def test_half_a_surrogate_pair_in_json_is_bad(line: str) -> None:
    bad = read_one(line.encode(), "jsonl")
    assert isinstance(bad, BadRow)
    assert "surrogate" in bad.reason
    assert bad.row == line


@pytest.mark.parametrize("line", [r'"\ud800"', r'["\ud800"]'])
def test_half_a_surrogate_pair_in_json_that_is_no_object_can_be_written_on(line: str) -> None:
    bad = read_one(line.encode(), "jsonl")
    assert isinstance(bad, BadRow)
    json.dumps(bad.row, ensure_ascii=False).encode()


def test_a_whole_surrogate_pair_in_json_is_one_character() -> None:
    assert read_one(rb'{"text": "\ud83d\ude00"}', "jsonl") == Row(1, {"text": "😀"})


def test_json_values_keep_their_types() -> None:
    values = {"text": "a", "n": 1, "x": 0.5, "flag": True, "gap": None, "list": [1, {"a": "b"}]}
    assert read_one(json.dumps(values).encode(), "jsonl") == Row(1, values)


def test_json_nested_to_any_depth_is_a_row_or_a_bad_row() -> None:
    lines = [b'{"a":' + b"[" * depth + b"]" * depth + b"}" for depth in range(800, 1100)]
    rows = read(b"\n".join(lines), "jsonl")
    assert [row.line for row in rows] == list(range(1, 301))


@pytest.mark.parametrize(
    ("content", "format_"), [(b'{"text": "a\x00b"}', "jsonl"), (b"a\x00b\n", "lines"), (b"text\na\x00b\n", "csv")]
)
def test_nul_is_bad(content: bytes, format_: str) -> None:
    row = read_one(content, format_)
    assert isinstance(row, BadRow)
    assert "NUL" in row.reason


def test_utf_16_is_told_from_its_nul_characters() -> None:
    reasons = [row.reason for row in read("Lift it.\nKeep it.\n".encode("utf-16"), "lines") if isinstance(row, BadRow)]
    assert reasons == ["not UTF-8", "holds a NUL character; is it UTF-16?", "holds a NUL character; is it UTF-16?"]


def test_an_escaped_nul_in_json_is_text() -> None:
    assert read_one(rb'{"text": "a\u0000b"}', "jsonl") == Row(1, {"text": "a\0b"})


def test_a_cell_may_hold_an_article() -> None:
    assert read_one(b"text\n" + b"a" * 200_000, "csv") == Row(2, {"text": "a" * 200_000})


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.csv", "csv"), ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("a.txt", "lines"), ("a.b.CSV", "csv")],
)
def test_the_suffix_tells_the_format(name: str, format_: str) -> None:
    assert file_format(Path(name)) == format_


@pytest.mark.parametrize(("name", "told"), [("a.tsv", ".tsv"), ("rows", "suffixless"), ("a.json", ".json")])
def test_an_unknown_suffix_is_an_error_that_lists_the_known(name: str, told: str) -> None:
    with pytest.raises(DataError, match=rf"^{name}: .*{told} file is not known; name it .csv, .jsonl, .ndjson, .txt"):
        file_format(Path(name))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file"):
        list(read_file(tmp_path / "absent.csv"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv cannot be read"):
        list(read_file(tmp_path / "folder.csv"))


def test_plain_text_is_no_labelled_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("Lift it.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"labelled data are \.csv or \.jsonl"):
        list(read_file(file))


def test_read_file_reads_by_the_suffix(tmp_path: Path) -> None:
    for format_ in ("csv", "jsonl"):
        file = tmp_path / f"rows.{format_}"
        file.write_text(CONTENT[format_], encoding="utf-8")
        assert list(read_file(file)) == expected(format_)


def test_the_stream_stays_open_for_its_owner() -> None:
    stream = io.BytesIO(b"a\n")
    list(read_rows(stream, "lines", name="file"))
    assert not stream.closed


def test_closing_the_stream_before_a_half_read_generator_is_silent() -> None:
    stream = io.BytesIO(b"a\nb\n")
    rows = read_rows(stream, "lines", name="file")
    next(rows)
    stream.close()
    rows.close()


@pytest.mark.parametrize(("count", "more"), [(1, 0), (20, 0), (21, 1), (1000, 980)])
def test_an_error_lists_twenty_rows_and_counts_all(count: int, more: int) -> None:
    error = DataError.of_rows((Path("a.csv"), BadRow(line, f"reason {line}", None)) for line in range(1, count + 1))
    head, *listed = str(error).splitlines()
    assert head == f"{count} bad row{'s' if count > 1 else ''}; correct or remove them:"
    assert listed[:20] == [f"a.csv:{line}: reason {line}" for line in range(1, min(count, 20) + 1)]
    assert listed[20:] == ([f"… and {more} more"] if more else [])


@given(st.lists(st.dictionaries(TEXT, TEXT)), st.booleans())
def test_json_lines_read_back_as_written(rows: list[dict[str, str]], ascii_: bool) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_) + "\n" for row in rows)
    assert read(content.encode(), "jsonl") == [Row(line, row) for line, row in enumerate(rows, start=1)]


@given(st.data(), st.lists(COLUMN, min_size=1, max_size=4, unique=True), st.sampled_from(["\n", "\r\n"]))
def test_csv_reads_back_as_written(data: st.DataObject, header: list[str], ending: str) -> None:
    # A row of no values at all is a blank line in CSV, so every row has the header's width.
    rows = data.draw(st.lists(st.lists(TEXT, min_size=len(header), max_size=len(header))))
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    found = read(stream.getvalue().encode(), "csv")
    assert [row.values if isinstance(row, Row) else row for row in found] == [
        dict(zip(header, row, strict=True)) for row in rows
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"))))
def test_lines_read_back_as_written(lines: list[str]) -> None:
    assume(not (lines and lines[0].startswith("\ufeff")))
    found = read("".join(line + "\n" for line in lines).encode(), "lines")
    assert found == [Row(i, {"text": line}) for i, line in enumerate(lines, start=1) if line.strip()]


@pytest.mark.parametrize("format_", FORMATS)
@given(
    st.one_of(
        st.binary(),
        # Mostly well-formed, so that more than the first line is looked at.
        st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r", b"{", b"}", b":", b"\0", b"\xff", b"\\ud800"])).map(
            b"".join
        ),
    )
)
@example(b"\xef\xbb")
@example(b'{"a": 1e999, "b": NaN}')
@example(b"1" * 5000)
@example(b"a\n" + b"x" * 200_000)
def test_whatever_the_bytes_only_a_data_error_is_raised(format_: str, content: bytes) -> None:
    try:
        rows = read(content, format_)
    except DataError:
        assert format_ == "csv"
    else:
        lines = [row.line for row in rows]
        assert lines == sorted(set(lines))
