"""`analyze`, and the articles that it reads, up to the command line and the page."""

import io
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import HOSTILE, Reader
from hypothesis import given
from hypothesis import strategies as st

import stance
from stance import analyze
from stance.analysis import ArticleStance, by_holder
from stance.cli import main
from stance.pages.article import render_page
from stance.schema import StanceError
from stance.text.characters import visible
from stance.text.documents import DocumentError, find_files, read_document

TEXT = """Haftar: lift it.

Talks went on. Field Marshal Khalifa Hafter: lift the ban.
France: keep the ban! Everybody left. Lift it.
"""
PAGE = """<!DOCTYPE html><html><head><title>Talks</title>
<meta property="article:published_time" content="2016-05-17"></head>
<body><nav>Home | News</nav><article><h1>Talks on the ban</h1>
<p>Haftar: lift it. It was a long day of talks about the arms embargo in the capital, and many people spoke there.</p>
<p>France: keep the ban. The council did not vote on the proposal, which several of its members had put forward.</p>
</article></body></html>"""
Stance = Callable[..., int]


@pytest.fixture
def article() -> ArticleStance:
    return replace(analyze(TEXT, model=Reader()), name="talks.txt")


@pytest.fixture
def stance_analyze(monkeypatch: pytest.MonkeyPatch) -> Stance:
    monkeypatch.setattr("stance.cli.analyze.load", lambda _: Reader())
    return lambda *arguments: main(["analyze", *map(str, arguments)])


def test_an_article_says_who_stands_where(article: ArticleStance) -> None:
    assert [s.prediction.label for s in article.sentences] == ["for", "none", "for", "against", "none", "for"]
    assert all(TEXT[s.start : s.end] == s.text for s in article.sentences)
    assert article.counts == {"for": 3, "against": 1, "conditional": 0, "none": 2}
    assert article.probabilities["none"] == pytest.approx((2 * 0.7 + 4 * 0.1) / 6)
    haftar, france, author = article.holders
    assert (haftar.holder, haftar.counts) == ("Khalifa Hafter", {"for": 2, "against": 0, "conditional": 0})
    assert set(haftar.mentions) == {"Haftar", "Field Marshal Khalifa Hafter"}
    assert haftar.probabilities == pytest.approx({"for": 0.7, "against": 0.1, "conditional": 0.1, "none": 0.1})
    assert (france.holder, france.clearest.text) == ("France", "France: keep the ban!")
    assert (author.holder, author.sentences) == ("author", 1)
    assert [s.holder for s in article.sentences][:3] == ["Khalifa Hafter", None, "Khalifa Hafter"]


def test_each_sentence_has_those_before_as_context(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = []
    monkeypatch.setattr(
        stance.analysis, "classify", lambda found, *_, **__: contexts.extend(s.context for s in found) or []
    )
    with pytest.raises(ValueError, match="zip"):
        analyze("One. Two. Three.", model=Reader())
    assert contexts == ["", "One.", "One.\nTwo."]


def test_a_dictionary_of_it_is_json(article: ArticleStance) -> None:
    found = json.loads(json.dumps(article.to_dict()))
    assert found["holders"][0]["clearest"]["text"] == "Haftar: lift it."
    assert found["sentences"][2] | {"probabilities": {}} == {
        "text": "Field Marshal Khalifa Hafter: lift the ban.",
        "start": 33,
        "end": 76,
        "label": "for",
        "confidence": 0.7,
        "probabilities": {},
        "holder": "Khalifa Hafter",
        "mention": "Field Marshal Khalifa Hafter",
    }


def test_a_frame_of_it_has_a_row_a_sentence(article: ArticleStance, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = article.to_frame()
    assert frame.shape == (6, 13)
    assert frame["p_against"].tolist() == pytest.approx([0.1, 0.1, 0.1, 0.7, 0.1, 0.1])
    assert frame["mention"][0] == "Haftar"
    assert list(analyze("", model=Reader()).to_frame().columns) == list(frame.columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(StanceError, match="pip install pandas"):
        article.to_frame()


@pytest.mark.parametrize("text", ["", " \n ", "…"])
def test_an_article_without_a_stance_has_no_holder(text: str) -> None:
    found = analyze(text, model=Reader())
    assert found.holders == []
    assert json.dumps(found.to_dict())
    assert render_page([found])


def test_an_article_is_a_string() -> None:
    with pytest.raises(TypeError, match="text must be a string, not bytes"):
        analyze(b"lift it")  # type: ignore[arg-type]


def test_a_model_that_finds_no_holder_leaves_it_out(tiny_model: Path) -> None:
    found = analyze("Peru urged the Council to lift the arms embargo at once.", model=tiny_model)
    assert [(h.holder, h.mentions, h.counts["for"]) for h in found.holders] == [(None, (), 1)]


def test_holders_are_merged_across_articles_and_followed_over_dates(article: ArticleStance) -> None:
    later = replace(analyze("Haftar: keep it.", model=Reader()), date="2019-04-05")
    earlier = replace(analyze("Haftar: lift it. Chad: lift it.", model=Reader()), date="2016-05-17")
    found = by_holder([article, later, earlier], by_date=True)
    rows = [(h.holder, h.date, h.articles, h.counts["for"], h.counts["against"]) for h in found]
    assert rows == [
        ("Khalifa Hafter", None, 3, 3, 1),
        ("Khalifa Hafter", "2016-05-17", 1, 1, 0),
        ("Khalifa Hafter", "2019-04-05", 1, 0, 1),
        ("France", None, 1, 0, 1),
        ("author", None, 1, 1, 0),
        ("Chad", None, 1, 1, 0),
        ("Chad", "2016-05-17", 1, 1, 0),
    ]


def test_a_page_is_read_by_its_article() -> None:
    for name, content in (("2015-01-01.html", PAGE.encode()), ("-", b"\n " + PAGE.encode())):
        found = read_document(content, name)
        assert "Haftar: lift it." in found.text
        assert "Home" not in found.text
        assert found.date == "2016-05-17"


def test_text_is_read_as_it_is() -> None:
    found = read_document("\ufeffCafé\r\n<html>".encode(), "news/2019-13-01_2019-04-05.txt")
    assert (found.text, found.date) == ("Café\r\n<html>", "2019-04-05")
    assert read_document(b"", "empty.txt").text == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"lift\x00it", r"a.txt is no text: it has a zero byte at 4"),
        ("a.txt", "Café".encode("latin-1"), r"a.txt is not UTF-8: .* at byte 3"),
        ("a.pdf", b"%PDF-1.7\n\xe2\xe3\xcf\xd3", r"a.pdf is not UTF-8"),
        ("a.html", b"", r"a.html is an HTML page without an article's text"),
        ("a.html", b"<html><body><script>x</script></body></html>", r"without an article's text"),
        ("a.html", b"\x00\x01\x02" * 99, r"without an article's text"),
    ],
)
def test_what_holds_no_article_is_told(name: str, content: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_document(content, name)


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.html", "a", "a.docx"]))
def test_any_bytes_are_read_or_refused(content: bytes, name: str) -> None:
    with suppress(DocumentError):
        assert analyze(read_document(content, name).text, model=Reader()).to_dict()


def test_a_page_without_trafilatura_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(StanceError, match=r"a.html is an HTML page: .* pip install 'embargo-stance\[html\]'"):
        read_document(PAGE.encode(), "a.html")


def test_a_folder_stands_for_its_articles(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("b.txt", "a.HTML", "more/c.md", "d.csv"):
        (tmp_path / name).write_text(TEXT)
    assert [Path(file).name for file in find_files([str(tmp_path), "-"])] == ["a.HTML", "b.txt", "c.md", "-"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(StanceError, match=r"holds no article: no file that ends with \.txt"):
        list(find_files([str(tmp_path / "empty")]))
    with pytest.raises(StanceError, match="there is no nowhere"):
        list(find_files(["nowhere"]))


def test_the_table(stance_analyze: Stance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "2016-05-17.txt").write_text(TEXT)
    (tmp_path / "empty.txt").write_text("")
    assert stance_analyze(tmp_path) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/2016-05-17.txt (2016-05-17): 6 sentences: for 3, against 1, conditional 0, none 2\n"
        "  holder          for  against  conditional  clearest sentence\n"
        "  Khalifa Hafter    2        0            0  0.70 for: Haftar: lift it.\n"
        "  France            0        1            0  0.70 against: France: keep the ban!\n"
        "  author            1        0            0  0.70 for: Lift it.\n"
        "\n"
        f"{tmp_path}/empty.txt: 0 sentences: for 0, against 0, conditional 0, none 0\n"
        "  no sentence takes a stance\n"
    )
    assert stance_analyze(tmp_path, "--by", "holder") == 0
    rows = [line.split()[:6] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["holder", "date", "articles", "for", "against", "conditional"]
    assert rows[1] == ["Khalifa", "Hafter", "all", "1", "2", "0"]
    assert rows[2] == ["2016-05-17", "1", "2", "0", "0", "0.70"]


def test_json_is_a_line_an_article(stance_analyze: Stance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.html"]
    files[0].write_text(TEXT)
    files[1].write_text(PAGE)
    assert stance_analyze(*files, "--format", "json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(a["name"], a["date"], a["counts"]["for"]) for a in found] == [
        (str(files[0]), None, 3),
        (str(files[1]), "2016-05-17", 1),
    ]
    assert stance_analyze(*files, "--format", "json", "--by", "holder") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found[0]["holder"], found[0]["articles"]) == ("Khalifa Hafter", 2)


def test_what_cannot_be_read_stops_nothing(
    stance_analyze: Stance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.txt").write_text(TEXT)
    (tmp_path / "bad.txt").write_bytes(b"\x00")
    assert stance_analyze(tmp_path) == 3
    out, err = capsys.readouterr()
    assert "good.txt" in out
    assert err == f"stance: {tmp_path}/bad.txt is no text: it has a zero byte at 0\n"
    assert stance_analyze(tmp_path / "bad.txt") == 1
    assert stance_analyze(tmp_path / "nothing") == 1
    assert "there is no" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        stance_analyze(tmp_path, "--by", "holder", "--format", "html")


def test_standard_input(
    stance_analyze: Stance, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    assert stance_analyze("-") == 0
    assert capsys.readouterr().out.startswith("standard input: 6 sentences")


def test_output_is_whole_or_not_there(stance_analyze: Stance, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    assert stance_analyze(tmp_path / "a.txt", "--format", "html", "--output", tmp_path / "a.html") == 0
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert stance_analyze(tmp_path / "b.txt", "--format", "html", "--output", tmp_path / "b.html") == 1
    assert not (tmp_path / "b.html").exists()


@pytest.fixture
def page(tmp_path: Path, browse: Callable[..., Any]) -> Any:
    hostile = "".join(f"{text}: lift it.\n\n" for text in HOSTILE)
    articles = [replace(analyze(text, model=Reader()), name=f"<b>{i}</b>") for i, text in enumerate((TEXT, hostile))]
    (tmp_path / "page.html").write_text(render_page(articles), encoding="utf-8")
    return browse(tmp_path / "page.html")


def test_the_page_loads_nothing_and_fits_a_phone(page: Any, tmp_path: Path) -> None:
    assert page.asked_for == [f"file://{tmp_path}/page.html"]
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_articles_are_shown_as_text(page: Any) -> None:
    assert page.title() == "Who stands where on lifting the UN arms embargo on Libya"
    body = page.inner_text("body")
    for text in HOSTILE:
        assert visible(text) in body
    assert "<b>0</b>" in body
    assert page.locator("img, b, i, u").count() == 0


def test_stances_are_marked_apart_by_more_than_colour(page: Any) -> None:
    def style(stance: int) -> str:
        mark = f"document.querySelector('mark[data-stance=\"{stance}\"]')"
        return str(page.evaluate(f"getComputedStyle({mark}).textDecorationStyle"))

    assert style(0) != style(1)
    assert page.locator("mark").first.get_attribute("title").startswith("for: Khalifa Hafter (for 0.70, against 0.10")


def test_the_table_filters_the_text(page: Any) -> None:
    shown = page.locator("mark.on")
    cell = page.locator("#holders button[data-holder='0'][data-stance='0']")
    assert cell.inner_text() == "2"
    cell.click()
    assert shown.all_inner_texts() == ["Haftar: lift it.", "Field Marshal Khalifa Hafter: lift the ban."]
    page.locator("#holders tr").first.locator("button").nth(1).click()
    assert shown.all_inner_texts() == ["France: keep the ban!"]
    page.locator("#holders button[aria-pressed='true']").click()
    assert shown.count() == 0
    assert page.locator("#holders button:disabled").count() > 0
    page.locator("mark").nth(2).focus()
    assert page.inner_text("#detail").splitlines()[0] == "against: France"
    assert page.locator("#detail meter").count() == 4


def test_a_megabyte_is_read() -> None:
    copies = 1_000_000 // len(TEXT)
    found = analyze(TEXT * copies, model=Reader())
    assert len(found.sentences) == 6 * copies
    assert len(found.holders) == 3
