import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from stance.data.articles import read_articles
from stance.data.rows import DataError
from stance.schema import TaskSpec

LABELS_FILE = Path(__file__).parents[1] / "data/articles/labels.jsonl"
ARTICLES = os.environ.get("STANCE_ARTICLES")
ARTICLE = "Café “Ἀθηνᾶ” 😀.\r\nEgypt asked\r\n  to lift\tit.  Italy said no."
SENTENCES = ["Café “Ἀθηνᾶ” 😀.", "Egypt asked\r\n  to lift\tit.", "Italy said no."]
FOLDED = ["Café “Ἀθηνᾶ” 😀.", "Egypt asked to lift it.", "Italy said no."]
TASK = TaskSpec()


@pytest.fixture(autouse=True)
def _no_articles_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STANCE_ARTICLES", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "a.txt").write_bytes(ARTICLE.encode())
    return folder


def row(sentence: int, **changes: Any) -> dict[str, Any]:
    start = ARTICLE.index(SENTENCES[sentence])
    return {
        "file": "a.txt",
        "sha256": hashlib.sha256(ARTICLE.encode()).hexdigest(),
        "start": start,
        "end": start + len(SENTENCES[sentence]),
        "label": ["none", "for", "against"][sentence],
        "label_2": "none",
        "holder": ["", "Egypt", "Italy"][sentence],
        **changes,
    }


def write_labels(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_labels(tmp_path, row(0), row(1), row(2))


def test_offsets_count_characters_and_white_space_is_folded(labels: Path, folder: Path) -> None:
    assert [row["text"] for row in read_articles(labels, folder, TASK)] == FOLDED


def test_articles_have_labels_holders_and_offsets(labels: Path, folder: Path) -> None:
    rows = read_articles(labels, folder, TASK)
    assert [row["label"] for row in rows] == ["none", "for", "against"]
    assert [row["label_2"] for row in rows] == ["none"] * 3
    assert [row["holder"] for row in rows] == ["", "Egypt", "Italy"]
    assert [ARTICLE[row["start"] : row["end"]] for row in rows] == SENTENCES
    assert {row["doc"] for row in rows} == {"a.txt"}
    assert [row["sent"] for row in rows] == [1, 2, 3]


def test_context_is_the_sentences_before_in_the_article(tmp_path: Path, folder: Path) -> None:
    (folder / "b.txt").write_bytes(ARTICLE.encode())
    labels = write_labels(tmp_path, *(row(i, file=name) for name in ("a.txt", "b.txt") for i in range(3)))
    contexts = [row["context"] for row in read_articles(labels, folder, TASK)]
    assert contexts == ["", FOLDED[0], f"{FOLDED[0]}\n{FOLDED[1]}"] * 2


@pytest.mark.parametrize("remedy", ["data.articles_dir=DIR", "$STANCE_ARTICLES"])
def test_a_missing_article_is_named_with_what_to_do(labels: Path, tmp_path: Path, remedy: str) -> None:
    with pytest.raises(DataError) as error:
        read_articles(labels, tmp_path / "absent", TASK)
    assert f"article {tmp_path / 'absent' / 'a.txt'} cannot be read (No such file or directory)" in str(error.value)
    assert remedy in str(error.value)


@pytest.mark.parametrize("remedy", ["data.articles_dir=DIR", "$STANCE_ARTICLES"])
def test_an_altered_article_is_named_with_what_to_do(labels: Path, folder: Path, remedy: str) -> None:
    # As Git would, where it converts line endings.
    (folder / "a.txt").write_bytes(ARTICLE.replace("\r\n", "\n").encode())
    with pytest.raises(DataError) as error:
        read_articles(labels, folder, TASK)
    assert f"article {folder / 'a.txt'} is not the text that was labelled" in str(error.value)
    assert remedy in str(error.value)


def test_the_environment_names_the_folder(labels: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCE_ARTICLES", str(folder))
    assert len(read_articles(labels, None, TASK)) == 3


def test_a_given_folder_wins_over_the_environment(
    labels: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANCE_ARTICLES", str(tmp_path / "absent"))
    assert len(read_articles(labels, folder, TASK)) == 3


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_a_folder_the_articles_are_in_data(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("STANCE_ARTICLES", value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/articles/text").mkdir(parents=True)
    (tmp_path / "data/articles/text/a.txt").write_bytes(ARTICLE.encode())
    assert len(read_articles(labels, None, TASK)) == 3


def test_bad_label_rows_are_listed_together(tmp_path: Path, folder: Path) -> None:
    labels = write_labels(tmp_path, row(0, label="pro"), row(1), row(2, start="a"), row(2, end=row(2)["start"]))
    with labels.open("ab") as stream:
        stream.write(b"{\n")
    with pytest.raises(DataError) as error:
        read_articles(labels, folder, TASK)
    head, *listed = str(error.value).splitlines()
    assert head.startswith("4 bad rows")
    assert [line.removeprefix(f"{labels}:")[0] for line in listed] == ["1", "3", "4", "5"]
    assert "'label' is 'pro', not one of for, against, conditional, none" in listed[0]


@pytest.mark.parametrize("column", ["file", "sha256", "start", "end", "label", "label_2", "holder"])
def test_every_column_is_needed(tmp_path: Path, folder: Path, column: str) -> None:
    values = row(0)
    del values[column]
    with pytest.raises(DataError, match=rf"labels\.jsonl:1: no column '{column}'"):
        read_articles(write_labels(tmp_path, values), folder, TASK)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (9, 3), (len(ARTICLE), len(ARTICLE) + 5), (-14, len(ARTICLE)), (0, -1), (0, len(ARTICLE) + 1)],
)
def test_a_span_that_is_not_in_the_article_is_a_bad_row(tmp_path: Path, folder: Path, start: int, end: int) -> None:
    labels = write_labels(tmp_path, row(1), row(0, start=start, end=end))
    with pytest.raises(DataError, match=r"labels\.jsonl:2: "):
        read_articles(labels, folder, TASK)


def test_a_missing_labels_file_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.jsonl cannot be read"):
        read_articles(tmp_path / "labels.jsonl", folder, TASK)


@pytest.mark.skipif(not ARTICLES, reason="$STANCE_ARTICLES names no folder with the articles' text")
def test_the_labels_fit_the_articles() -> None:
    rows = read_articles(LABELS_FILE, Path(ARTICLES or ""), TASK)
    assert len(rows) == 130
    assert len({row["doc"] for row in rows}) == 5
    assert all(row["text"].strip() for row in rows)
