"""Real passages: their labels in the repository, their text elsewhere, and how it is fetched."""

import functools
import hashlib
import http.server
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import write_jsonl

from stance.cli import main
from stance.data.fetch import FetchError, SourceText, decode, fetch_real, repair
from stance.data.real import PARTS, IndexedSentence, letters_sha256, read_index, read_real
from stance.data.rows import DataError
from stance.schema import LABELS, TaskSpec
from stance.text.characters import letters

INDEX = Path(__file__).parents[1] / "data/real/index.jsonl"
TASK = TaskSpec()
COMMIT = "0" * 40
SOURCE = "Intro. &ldquo;Lift it&rdquo; , he said .\nMalta said no (twice).\n"
SENTENCES = {1: "“Lift it”, he said.", 2: "Malta said no (twice)."}


def passage(
    doc: str, part: str, *, path: str = "a b/speech.txt", source: str = SOURCE, **changes: Any
) -> dict[str, Any]:
    """A line of an index, for the two sentences of a source."""
    whole = letters(decode(source.encode(), "text"))
    folded = [letters(text) for text in SENTENCES.values()]
    return {
        "doc": doc,
        "part": part,
        "repo": "somebody/speeches",
        "path": path,
        "commit": COMMIT,
        "decode": "text",
        "source": "Speeches",
        "register": "speech",
        "year": 2020,
        "country": "Malta",
        "sent": list(SENTENCES),
        "start": [whole.find(text) for text in folded],
        "length": [len(text) for text in folded],
        "sha256": [letters_sha256(text) for text in folded],
        "label": ["for", "against"],
        "holder": ["he", "Malta"],
        **changes,
    }


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "index.jsonl", [passage(f"{part}-1", part) for part in PARTS])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves the source at the place that its commit has on the real host."""
    folder = tmp_path / "served" / "somebody/speeches" / COMMIT / "a b"
    folder.mkdir(parents=True)
    (folder / "speech.txt").write_text(SOURCE)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_the_repository_holds_labels_places_and_hashes_and_no_text() -> None:
    passages = read_index(INDEX)
    sentences = Counter(p.part for p in passages for _ in p.sentences)
    assert sentences == {"train": 6412, "validation": 1458, "test": 2210}
    assert len({p.doc for p in passages}) == len(passages)
    assert {s.labels["label"] for p in passages for s in p.sentences} == set(LABELS)
    assert all(len(s.sha256) == 16 and s.length > 0 for p in passages for s in p.sentences)
    assert INDEX.stat().st_size < 1_000_000
    stances = [s for p in passages if p.part == "test" for s in p.sentences if s.labels["label"] != "none"]
    assert Counter(s.labels["label"] for s in stances) == {"for": 58, "against": 141, "conditional": 12}


def test_parts_share_no_source() -> None:
    parts: dict[tuple[str, str], set[str]] = {}
    for found in read_index(INDEX):
        parts.setdefault((found.repo, found.path), set()).add(found.part)
    assert [source for source, of in parts.items() if len(of) > 1] == []


def test_fetched_over_http_it_can_be_read(index: Path, server: str, tmp_path: Path) -> None:
    lines = fetch_real(read_index(index), tmp_path / "text", host=server)
    assert [line.split(": ")[1] for line in lines] == ["2 of 2 sentences"] * 3
    splits = read_real(index, tmp_path / "text", TASK)
    assert list(splits) == list(PARTS)
    first, second = splits["test"]
    assert (first["text"], first["label"], first["holder"], first["context"]) == (SENTENCES[1], "for", "he", "")
    assert (second["text"], second["label"], second["context"]) == (SENTENCES[2], "against", SENTENCES[1])
    assert (second["label_2"], second["year"], second["source"]) == ("against", "2020", "Speeches")


def test_fetched_from_clones_it_can_be_read(tmp_path: Path) -> None:
    clone = tmp_path / "clones/somebody/speeches"
    (clone / "a b").mkdir(parents=True)
    (clone / "a b/speech.txt").write_text(SOURCE)
    git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (clone / "a b/speech.txt").write_text("Changed since.")
    index = write_jsonl(tmp_path / "index.jsonl", [passage("d", "test", commit=commit)])
    fetch_real(read_index(index), tmp_path / "text", clones=tmp_path / "clones")
    rows = [json.loads(line) for line in (tmp_path / "text/test.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == list(SENTENCES.values())


def test_what_is_missing_or_differs_is_told_and_the_rest_is_written(index: Path, server: str, tmp_path: Path) -> None:
    more = [passage("gone", "train", path="gone.txt"), passage("other", "train", sha256=["f" * 16, "0" * 16])]
    index = write_jsonl(index, [*map(json.loads, index.read_text().splitlines()), *more])
    lines = fetch_real(read_index(index), tmp_path / "text", host=server)
    assert lines[0] == "somebody/speeches/a b/speech.txt: 2 sentence(s) are not what was labelled (SHA-256 differs)"
    assert lines[1].startswith("somebody/speeches/gone.txt: HTTP status 404 (http://127.0.0.1:")
    assert "train.jsonl: 2 of 6 sentences" in lines[2]
    assert len(read_real(index, tmp_path / "text", TASK)["train"]) == 2


def test_an_earlier_text_is_kept_where_a_fetch_finds_none(index: Path, server: str, tmp_path: Path) -> None:
    fetch_real(read_index(index), tmp_path / "text", host=server)
    (tmp_path / "served/somebody/speeches" / COMMIT / "a b/speech.txt").write_text("Something else.")
    (tmp_path / "served/somebody/speeches" / COMMIT / "b.txt").write_text(SOURCE)
    index = write_jsonl(index, [*map(json.loads, index.read_text().splitlines()), passage("b", "train", path="b.txt")])
    fetch_real(read_index(index), tmp_path / "text", host=server)
    assert {part: len(rows) for part, rows in read_real(index, tmp_path / "text", TASK).items()} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }


def test_where_nothing_is_found_nothing_is_written(index: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"no sentence .* was found in the clones at .*\n.*there is no clone"):
        fetch_real(read_index(index), tmp_path / "text", clones=tmp_path)
    assert not (tmp_path / "text").exists()


def test_the_command_line_fetches(
    index: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANCE_REAL", str(tmp_path / "named"))
    assert main(["data", "fetch", "--real-index", str(index), "--host", server]) == 0
    assert "test.jsonl: 2 of 2 sentences" in capsys.readouterr().out
    assert len(read_real(index, None, TASK)["test"]) == 2
    assert main(["data", "fetch", "--real-index", str(index), "--from", str(tmp_path / "absent")]) == 1
    assert "there is no clone" in capsys.readouterr().err


def test_without_the_text_the_error_says_how_to_fetch_it(index: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stance data fetch"):
        read_real(index, tmp_path / "absent", TASK)


def test_an_incomplete_test_part_is_left_out(
    index: Path, server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch_real(read_index(index), tmp_path / "text", host=server)
    for part in ("train", "test"):
        file = tmp_path / f"text/{part}.jsonl"
        file.write_text(file.read_text().replace("Malta said no", "Malta said yes"))
    splits = read_real(index, tmp_path / "text", TASK)
    assert {part: len(rows) for part, rows in splits.items()} == {"train": 1, "validation": 2}
    assert "1 of 2 sentences of the train part" in caplog.text
    assert "98% are needed to report on it: the part is left out" in caplog.text


def test_other_white_space_and_punctuation_is_the_same_sentence(index: Path, server: str, tmp_path: Path) -> None:
    fetch_real(read_index(index), tmp_path / "text", host=server)
    file = tmp_path / "text/test.jsonl"
    file.write_text(file.read_text().replace("Malta said no (twice).", "MALTA  said no - twice!"))
    assert read_real(index, tmp_path / "text", TASK)["test"][1]["text"] == "MALTA said no - twice!"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"doc": "a"}, "not a passage"),
        ({"sent": [1]}, "not a passage"),
        ({"part": "tset"}, "part 'tset'"),
        ({"label": ["for"]}, "not a passage"),
    ],
)
def test_a_damaged_index_names_its_line(line: dict[str, Any], reason: str, tmp_path: Path) -> None:
    bad = line if "doc" in line else {**passage("a", "test"), **line}
    file = write_jsonl(tmp_path / "index.jsonl", [passage("a", "test"), bad])
    with pytest.raises(DataError, match=f"{file}:2: .*{reason}"):
        read_index(file)


def test_a_label_of_another_task_is_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'label' is 'for', not one of agree, disagree"):
        read_real(index, tmp_path, TaskSpec(("agree", "disagree"), ("agree",)))


def test_a_damaged_line_of_text_is_named(index: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"doc": "train-1", "text": "no place"}])
    with pytest.raises(DataError, match=r"train\.jsonl:1: no column 'sent'"):
        read_real(index, tmp_path, TASK)


@pytest.mark.parametrize(
    ("content", "how", "text"),
    [
        ("a &amp; b", "text", "a & b"),
        ("<p class='x'>a</p>&lt;", "html", " a <"),
        ('{"t": "a&quot;", "n": 1, "u": "b"}', "json", 'a"\nb'),
        (r'"t": "a\u00e9\n\"b\"', "json-text", '"t": "aé\n"b"'),
        (r"\u003cb\u003ea &amp;amp; b", "json-html", " a & b"),
    ],
)
def test_sources_are_decoded_as_the_index_says(content: str, how: str, text: str) -> None:
    assert decode(content.encode(), how) == text


def test_an_unknown_decoding_is_told(tmp_path: Path, server: str) -> None:
    index = write_jsonl(tmp_path / "index.jsonl", [passage("a", "test"), passage("b", "test", decode="pdf")])
    lines = fetch_real(read_index(index), tmp_path / "text", host=server)
    assert "cannot be decoded as pdf" in lines[0]


def test_letters_that_grow_in_lower_case_keep_their_places() -> None:
    text = "İİ. Ünlü said Straße no. Rest"
    source = SourceText(text)
    start = source.letters.index("ünlü")
    sha256 = hashlib.sha256("ünlüsaidstraßeno".encode()).hexdigest()[:16]
    assert source.sentence(IndexedSentence(1, start, 16, sha256, {})) == "Ünlü said Straße no."
    assert source.sentence(IndexedSentence(1, start + 1, 16, sha256, {})) is None
    assert source.sentence(IndexedSentence(1, len(text) * 2, 16, sha256, {})) is None


@pytest.mark.parametrize(
    ("tokenized", "written"),
    [
        ("Paul 's vision of `` limits '' , he said .", 'Paul\'s vision of "limits", he said.'),
        ("They did n't ( yet ) go .", "They didn't (yet) go."),
        ("Putin ’ s plan", "Putin’s plan"),
        ("It cost 3.5 million . . . or more !", "It cost 3.5 million ... or more!"),
        ("Untouched: “as it is”, it's (so) 5,000.", "Untouched: “as it is”, it's (so) 5,000."),
    ],
)
def test_the_spacing_of_tokenized_text_is_undone(tokenized: str, written: str) -> None:
    assert repair(tokenized) == written
    assert repair(written) == written
