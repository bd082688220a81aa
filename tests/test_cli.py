import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stance import LABELS
from stance.cli import main
from stance.models.base import BATCH_SIZE

TEXTS = [
    "Peru urged the Council to lift the arms embargo at once.",
    "Cuba opposed lifting the arms embargo and asked for its renewal.",
    "Oman met the envoy to talk about oil exports and schools.",
]
EXPECTED = ["for", "against", "none"]
Predict = Callable[..., int]


@pytest.fixture
def predict(tiny_model: Path) -> Predict:
    return lambda *arguments: main(["predict", "--model", str(tiny_model), *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def write(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_json(content: Path | str) -> list[dict[str, Any]]:
    text = content.read_text(encoding="utf-8") if isinstance(content, Path) else content
    return [json.loads(line) for line in text.splitlines()]


def read_csv(content: Path | str) -> list[dict[str, str]]:
    text = content.read_bytes().decode("utf-8") if isinstance(content, Path) else content
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def give_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_sentences_are_printed_with_label_and_confidence(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(*TEXTS) == 0
    out, err = capsys.readouterr()
    for line, text, label in zip(out.splitlines(), TEXTS, EXPECTED, strict=True):
        found, confidence, rest = line.split(maxsplit=2)
        assert (found, rest) == (label, text)
        assert 1 / len(LABELS) <= float(confidence) <= 1
    assert err == ""


def test_the_model_may_be_named_by_the_environment(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANCE_MODEL", str(tiny_model))
    assert main(["predict", TEXTS[0]]) == 0
    assert capsys.readouterr().out.startswith("for ")


def test_lines_become_json_lines(predict: Predict, tmp_path: Path) -> None:
    source = write(tmp_path / "in.txt", "\ufeff" + "\r\n\r\n".join(TEXTS))
    assert predict("--input", source, "--output", tmp_path / "out.jsonl") == 0
    rows = read_json(tmp_path / "out.jsonl")
    assert [row["text"] for row in rows] == TEXTS
    assert [row["label"] for row in rows] == EXPECTED
    for row in rows:
        assert list(row) == ["text", "label", "confidence", "probabilities", "holder"]
        assert tuple(row["probabilities"]) == LABELS
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["confidence"] == row["probabilities"][row["label"]]


def test_json_lines_keep_their_fields_and_order(predict: Predict, tmp_path: Path) -> None:
    rows = [
        {"id": i, "text": text, "tags": ["é", None], "nested": {"a": 1.5}, "p_for": "kept"}
        for i, text in enumerate(TEXTS)
    ]
    source = write(tmp_path / "in.jsonl", json_lines(rows))
    assert predict("--input", source, "--output", tmp_path / "out.jsonl") == 0
    found = read_json(tmp_path / "out.jsonl")
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert [row["label"] for row in found] == EXPECTED


def test_below_the_confidence_asked_for_the_prediction_is_empty(predict: Predict, tmp_path: Path) -> None:
    source, lines, table = tmp_path / "in.csv", tmp_path / "out.jsonl", tmp_path / "out.csv"
    source.write_text("text\nEgypt met the envoy.\n")
    assert predict("--input", source, "--output", table, "--min-confidence", 1) == 0
    (row,) = csv.DictReader(table.open())
    assert row["label"] == ""
    assert float(row["confidence"]) > 0.25
    source = tmp_path / "in.txt"
    source.write_text("Egypt met the envoy.\n")
    assert predict("--input", source, "--output", lines, "--min-confidence", 1) == 0
    assert json.loads(lines.read_text())["label"] is None


def test_a_confidence_that_is_none_is_refused(predict: Predict) -> None:
    with pytest.raises(SystemExit) as exit_:
        predict("A sentence.", "--min-confidence", 1.5)
    assert exit_.value.code == 2


def test_csv_keeps_its_columns_and_order(predict: Predict, tmp_path: Path) -> None:
    header = ["id", "text", "note"]
    rows = [[f"{i}", text, 'é, "quoted"\nand\r\nbroken'] for i, text in enumerate(TEXTS)]
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    assert predict("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv") == 0
    found = read_csv(tmp_path / "out.csv")
    assert list(found[0]) == [*header, "label", "confidence", *(f"p_{label}" for label in LABELS), "holder"]
    assert [[row[name] for name in header] for row in found] == rows
    assert [row["label"] for row in found] == EXPECTED
    for row in found:
        assert sum(float(row[f"p_{label}"]) for label in LABELS) == pytest.approx(1, abs=1e-5)
        assert row["confidence"] == row[f"p_{row['label']}"]


@pytest.mark.parametrize(("suffix", "read"), [("csv", read_csv), ("jsonl", read_json)])
def test_without_an_output_rows_go_to_standard_output(
    predict: Predict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    read: Callable[[str], list[dict[str, Any]]],
) -> None:
    content = {"csv": f"text\n{TEXTS[0]}\n", "jsonl": json_lines([{"text": TEXTS[0]}])}[suffix]
    assert predict("--input", write(tmp_path / f"in.{suffix}", content)) == 0
    out, err = capsys.readouterr()
    assert [row["label"] for row in read(out)] == ["for"]
    assert err == ""
    assert names(tmp_path) == [f"in.{suffix}"]


def test_another_text_column_can_be_named(predict: Predict, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", f"text,sentence\nnothing,{TEXTS[0]}\n")
    assert predict("--input", source, "--text-column", "sentence", "--output", tmp_path / "out.csv") == 0
    (row,) = read_csv(tmp_path / "out.csv")
    assert (row["text"], row["sentence"], row["label"]) == ("nothing", TEXTS[0], "for")


def test_a_context_column_can_be_named(predict: Predict, tmp_path: Path) -> None:
    rows = [{"text": TEXTS[0], "before": "Before."}, {"text": TEXTS[0]}, {"text": TEXTS[0], "before": 5}]
    source = write(tmp_path / "in.jsonl", json_lines(rows))
    assert predict("--input", source, "--context-column", "before", "--output", tmp_path / "out.jsonl") == 3
    assert len(read_json(tmp_path / "out.jsonl")) == 2
    (rejected,) = read_json(tmp_path / "out.jsonl.rejects.jsonl")
    assert (rejected["line"], rejected["reason"]) == (3, "'before' must be a string, not int")


def test_the_format_can_be_given_where_the_suffix_does_not_tell(predict: Predict, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.data", f"text\n{TEXTS[0]}\n")
    assert predict("--input", source, "--input-format", "csv", "--output", tmp_path / "out.csv") == 0
    assert read_csv(tmp_path / "out.csv")[0]["label"] == "for"


def test_standard_input_is_lines(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_standard_input(monkeypatch, "\n".join(TEXTS).encode())
    assert predict("--input", "-") == 0
    assert [row["label"] for row in read_json(capsys.readouterr().out)] == EXPECTED


def test_standard_input_takes_a_format(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_standard_input(monkeypatch, f"id,text\n7,{TEXTS[1]}\n".encode())
    assert predict("--input", "-", "--input-format", "csv") == 0
    (row,) = read_csv(capsys.readouterr().out)
    assert (row["id"], row["label"]) == ("7", "against")


def test_rejected_rows_are_written_beside_the_output_and_the_rest_is_scored(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps({"text": TEXTS[0]}).encode()
    clash = {"text": "a", "label": "for"}
    lines = [
        good,
        b'{"text": ',
        b"[1]",
        b'{"text": "caf\xe9"}',
        b'{"other": "a"}',
        b'{"text": 5}',
        b'{"text": " \\u00a0"}',
        json.dumps(clash).encode(),
        b'{"text": "\\ud800"}',
        good,
    ]
    source = write(tmp_path / "in.jsonl", b"\n".join(lines))
    assert predict("--input", source, "--output", tmp_path / "out.jsonl") == 3
    assert [row["label"] for row in read_json(tmp_path / "out.jsonl")] == ["for", "for"]
    rejects = read_json(tmp_path / "out.jsonl.rejects.jsonl")
    assert [(row["line"], row["reason"].split(":")[0], row["row"]) for row in rejects] == [
        (2, "not JSON", '{"text": '),
        (3, "not a JSON object but list", [1]),
        (4, "not UTF-8", '{"text": "caf�"}'),
        (5, "no column 'text' (there are 'other')", {"other": "a"}),
        (6, "'text' must be a string, not int", {"text": 5}),
        (7, "'text' is blank", {"text": " \u00a0"}),
        (8, "there is a column 'label' already; rename it", clash),
        (9, "holds half of a surrogate pair (\\ud800 to \\udfff)", '{"text": "\\ud800"}'),
    ]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"stance: 8 row(s) rejected: see {tmp_path / 'out.jsonl.rejects.jsonl'}\n"
    assert names(tmp_path) == ["in.jsonl", "out.jsonl", "out.jsonl.rejects.jsonl"]


@pytest.mark.parametrize("line", [r'"\ud800"', r'["\ud800"]'])
def test_half_a_surrogate_pair_outside_an_object_is_rejected_like_any_row(
    predict: Predict, tmp_path: Path, line: str
) -> None:
    source = write(tmp_path / "in.jsonl", line + "\n" + json_lines([{"text": TEXTS[0]}]))
    assert predict("--input", source, "--output", tmp_path / "out.jsonl") == 3
    assert [row["line"] for row in read_json(tmp_path / "out.jsonl.rejects.jsonl")] == [1]
    assert len(read_json(tmp_path / "out.jsonl")) == 1


def test_csv_rows_of_another_width_are_rejected(predict: Predict, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", f'id,text\n1\n2,"{TEXTS[0]}"\n3,\n')
    assert predict("--input", source, "--output", tmp_path / "out.csv") == 3
    assert [row["id"] for row in read_csv(tmp_path / "out.csv")] == ["2"]
    assert [(row["line"], row["reason"], row["row"]) for row in read_json(tmp_path / "out.csv.rejects.jsonl")] == [
        (2, "1 values for 2 columns", ["1"]),
        (4, "'text' is blank", {"id": "3", "text": ""}),
    ]


def test_without_an_output_rejected_rows_go_to_standard_error(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", "[]\n" + json_lines([{"text": TEXTS[0]}]))
    assert predict("--input", source) == 3
    out, err = capsys.readouterr()
    assert [row["label"] for row in read_json(out)] == ["for"]
    rejected, summary = err.splitlines()
    assert json.loads(rejected) == {"line": 1, "reason": "not a JSON object but list", "row": []}
    assert summary == "stance: 1 row(s) rejected"


def test_a_clean_run_removes_the_rejects_of_an_older_one(predict: Predict, tmp_path: Path) -> None:
    source, output = write(tmp_path / "in.jsonl", "[]\n"), tmp_path / "out.jsonl"
    assert predict("--input", source, "--output", output) == 3
    write(source, json_lines([{"text": TEXTS[0]}]))
    assert predict("--input", source, "--output", output) == 0
    assert names(tmp_path) == ["in.jsonl", "out.jsonl"]


def test_a_run_with_other_rejects_replaces_the_older(predict: Predict, tmp_path: Path) -> None:
    source, output = write(tmp_path / "in.jsonl", "[]\n[]\n"), tmp_path / "out.jsonl"
    predict("--input", source, "--output", output)
    write(source, "\n5\n")
    assert predict("--input", source, "--output", output) == 3
    assert [row["line"] for row in read_json(tmp_path / "out.jsonl.rejects.jsonl")] == [2]


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_an_empty_input_gives_an_empty_output(predict: Predict, tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / f"in.{suffix}", "")
    assert predict("--input", source, "--output", tmp_path / "out.jsonl") == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


@pytest.mark.parametrize("rows", ["", "one too many,1,2\n"], ids=["header only", "all rejected"])
def test_csv_output_has_its_header_also_without_rows(predict: Predict, tmp_path: Path, rows: str) -> None:
    source = write(tmp_path / "in.csv", f"id,text\n{rows}")
    predict("--input", source, "--output", tmp_path / "out.csv")
    header = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert header == "id,text,label,confidence,p_for,p_against,p_conditional,p_none,holder\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "absent.csv cannot be read: No such file or directory"),
        ("in.tsv", "text\na\n", "the format of a .tsv file is not known"),
        ("in.csv", "", "is empty; its first line must name the columns"),
        ("in.csv", "text,text\na,b\n", "the header must name each column once"),
        ("in.csv", "id,sentence\n1,a\n2,b\n", "no column 'text' (there are 'id', 'sentence')"),
        ("in.csv", "text,label\na,for\nb,for\n", "there is a column 'label' already; rename it"),
        ("in.csv", "text,p_none\na,0.5\nb,0.5\n", "there is a column 'p_none' already; rename it"),
    ],
    ids=["no input", "no format", "empty", "header", "no text column", "clash", "clash of probabilities"],
)
def test_an_unusable_input_leaves_one_line_of_error_and_no_file(
    predict: Predict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    message: str,
) -> None:
    if content is not None:
        write(tmp_path / name, content)
    assert predict("--input", tmp_path / name, "--output", tmp_path / "out.csv") == 1
    err = capsys.readouterr().err
    assert err.startswith("stance: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert names(tmp_path) == ([name] if content is not None else [])


def test_an_unusable_model_is_told_and_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.txt", TEXTS[0])
    arguments = ["--model", str(tmp_path / "absent"), "--input", str(source), "--output", str(tmp_path / "out.jsonl")]
    assert main(["predict", *arguments]) == 1
    assert "absent is not a model folder: it does not exist" in capsys.readouterr().err
    assert names(tmp_path) == ["in.txt"]


@pytest.mark.parametrize("output", ["absent/out.csv", "."])
def test_an_output_that_cannot_be_written_is_told(
    predict: Predict, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    source = write(tmp_path / "in.csv", f"text\n{TEXTS[0]}\n")
    assert predict("--input", source, "--output", tmp_path / output) == 1
    assert capsys.readouterr().err.startswith(f"stance: error: {tmp_path / output} ")
    assert names(tmp_path) == ["in.csv"]


def test_an_error_leaves_the_output_and_rejects_of_an_older_run(predict: Predict, tmp_path: Path) -> None:
    source, output = write(tmp_path / "in.csv", "sentence\na\n"), write(tmp_path / "out.csv", "old")
    rejects = write(tmp_path / "out.csv.rejects.jsonl", "old")
    assert predict("--input", source, "--output", output) == 1
    assert (output.read_text(encoding="utf-8"), rejects.read_text(encoding="utf-8")) == ("old", "old")
    assert names(tmp_path) == ["in.csv", "out.csv", "out.csv.rejects.jsonl"]


def test_the_output_may_be_the_input(predict: Predict, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", "text\n" + "".join(f'"{text}"\n' for text in TEXTS))
    assert predict("--input", file, "--output", file) == 0
    assert [(row["text"], row["label"]) for row in read_csv(file)] == list(zip(TEXTS, EXPECTED, strict=True))
    assert names(tmp_path) == ["rows.csv"]


def test_rows_beyond_a_batch_stay_in_order(predict: Predict, tmp_path: Path) -> None:
    count = 2 * BATCH_SIZE + 500
    rows = [{"id": i, "text": TEXTS[i % 3]} for i in range(count)]
    source = write(tmp_path / "in.jsonl", json_lines(rows))
    assert predict("--input", source, "--output", tmp_path / "out.jsonl") == 0
    found = read_json(tmp_path / "out.jsonl")
    assert [(row["id"], row["label"]) for row in found] == [(i, EXPECTED[i % 3]) for i in range(count)]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["predict"],
        ["predict", "A sentence.", "--input", "in.txt"],
        ["predict", "A sentence.", "--output", "out.jsonl"],
        ["predict", "A sentence.", "--input-format", "csv"],
        ["predict", "A sentence.", "--context-column", "before"],
        ["predict", "A sentence.", " "],
        ["predict", ""],
        ["predict", "--input", "in.txt", "--input-format", "xml"],
        ["predict", "--no-such-option"],
        ["no-such-command"],
        ["data"],
    ],
)
def test_a_command_line_that_is_not_understood_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: stance")


def test_a_blank_sentence_is_told_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "A sentence.", " "])
    assert "sentence 2 is blank" in capsys.readouterr().err


def test_help_names_formats_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--help"])
    assert stop.value.code == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert {"lines", "csv", "jsonl"} <= {line[0] for line in lines}
    codes = lines[lines.index(["exit", "codes:"]) + 1 :]
    assert [line[0] for line in codes] == ["0", "1", "2", "3"]


def in_a_process(command: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    variables = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run(["sh", "-c", command], capture_output=True, cwd=tmp_path, env=variables, check=False)


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_a_reader_that_leaves_early_causes_no_traceback(tiny_model: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.txt", f"{TEXTS[0]}\n" * (2 * BATCH_SIZE))
    command = f'"$PYTHON" -m stance.cli predict --model {shlex.quote(str(tiny_model))} --input in.txt | head -1'
    done = in_a_process(command, tmp_path)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_output_is_utf_8_in_any_locale_and_rejects_set_the_exit_code(tiny_model: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.txt", "Café met the envoy 😀.\ncaf\n".encode() + b"caf\xe9\n")
    command = f'"$PYTHON" -m stance.cli predict --model {shlex.quote(str(tiny_model))} --input in.txt'
    done = in_a_process(command, tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert [row["text"] for row in read_json(done.stdout.decode("utf-8"))] == ["Café met the envoy 😀.", "caf"]
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_sentences_are_printed_in_any_locale(tiny_model: Path, tmp_path: Path) -> None:
    command = f'"$PYTHON" -m stance.cli predict --model {shlex.quote(str(tiny_model))} "Café met the envoy 😀."'
    done = in_a_process(command, tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C.UTF-8")
    assert done.stdout.decode("utf-8").endswith("Café met the envoy 😀.\n")
    assert done.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
@pytest.mark.parametrize("content", ["sentence\na\nb\n", "text,label\na,b\nc,d\n"], ids=["no text column", "clash"])
def test_an_error_in_the_rows_is_the_only_thing_on_standard_error(
    tiny_model: Path, tmp_path: Path, content: str
) -> None:
    write(tmp_path / "in.csv", content)
    command = f'"$PYTHON" -m stance.cli predict --model {shlex.quote(str(tiny_model))} --input in.csv'
    done = in_a_process(command, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"stance: error: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("source", "output"), [("in.csv", "out.jsonl"), ("in.jsonl", "out.csv"), ("in.txt", "out.csv")]
)
def test_an_output_is_not_named_for_another_format(predict: Predict, tmp_path: Path, source: str, output: str) -> None:
    write(tmp_path / source, "text\na\n")
    with pytest.raises(SystemExit) as refused:
        predict("--input", tmp_path / source, "--output", tmp_path / output)
    assert refused.value.code == 2
    assert names(tmp_path) == [source]
