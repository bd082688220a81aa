"""The report's pages, in a browser where one is installed, and the folders that they are made from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import HOSTILE, write_jsonl

from stance.cli import main
from stance.evaluation.metrics import compute_metrics
from stance.evaluation.report_folder import ReportError, read_metrics, read_predictions, write_pages
from stance.pages.report import render_html, render_markdown
from stance.schema import LABELS, TaskSpec
from stance.text.characters import visible


def report_folder(folder: Path, texts: list[str], predicted: list[int], **more: Any) -> Path:
    """A report of sentences that are all `for`, with these predictions."""
    folder.mkdir()
    probabilities = np.full((len(texts), 4), 0.1)
    probabilities[np.arange(len(texts)), predicted] = 0.7
    documents = [f"doc{i // 2}" for i in range(len(texts))]
    slices = {"register": ["news" if i % 2 else "<b>debate</b>" for i in range(len(texts))]}
    metrics = compute_metrics(["for"] * len(texts), probabilities, documents, task=TaskSpec(), seed=1, slices=slices)
    about = {"model": "<i>mine</i>", "data": "tiny", "split": "test", "seed": 1, "data_sha256": "0" * 64}
    (folder / "metrics.json").write_text(json.dumps({**about, **metrics, **more}))
    write_jsonl(
        folder / "predictions.jsonl",
        [
            {
                "text": text,
                "context": "Before it.\n" + text,
                "doc": doc,
                "gold": "for",
                "label": LABELS[number],
                "confidence": 0.7,
                "probabilities": dict(zip(LABELS, row.tolist(), strict=True)),
                "explanation": [["<b>lift", 0, 4, 0.5], ["not", 5, 8, -0.25]],
            }
            for text, doc, number, row in zip(texts, documents, predicted, probabilities, strict=True)
        ],
    )
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    failure = {"text": HOSTILE[0], "context": "", "variant": HOSTILE[1], "expected": "for", "found": "none"}
    behaviour = {
        "<u>plain</u>": {"kind": "invariance", "cases": 2, "passed": 1, "pass_rate": 0.5, "failures": [failure]}
    }
    texts = HOSTILE + [f"sentence {i}" for i in range(96)]
    return report_folder(tmp_path / "report", texts, [0, 1, 2, 3] * 25, behaviour=behaviour)


@pytest.fixture
def page(hostile: Path, browse: Callable[[Path], Any]) -> Any:
    write_pages(hostile)
    return browse(hostile / "report.html")


def count(page: Any) -> str:
    return str(page.inner_text("#count"))


def test_the_page_loads_nothing_and_fits_a_phone(page: Any, hostile: Path) -> None:
    assert page.asked_for == [f"file://{hostile}/report.html"]
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("figure svg").count() == 3
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_hostile_text_is_shown_as_text(page: Any) -> None:
    assert page.title() == "<i>mine</i> on tiny, test"
    page.uncheck("#errors")
    page.select_option("#order", "0")
    shown = page.locator("#list .sentence")
    for i, text in enumerate(HOSTILE):
        assert shown.nth(i).locator(".text").nth(1).inner_text() == visible(text)
    assert "\u202e" not in page.inner_text("body")
    assert "⟨U+202E⟩" in page.inner_text("body")
    assert page.locator("img, b, i, u").count() == 0
    assert shown.nth(0).locator(".ngram").all_inner_texts() == ["<b>lift +0.50", "not −0.25"]


def test_the_filters_work(page: Any) -> None:
    assert count(page) == "75 of 100 sentences"
    assert page.locator("#list .sentence").count() == 50
    page.click("#more")
    assert page.locator("#list .sentence").count() == 75
    assert page.is_hidden("#more")
    cell = page.locator("#matrix button[data-gold='0'][data-predicted='2']")
    cell.click()
    assert count(page) == "25 of 100 sentences"
    assert cell.get_attribute("aria-pressed") == "true"
    page.fill("#search", "SENTENCE 2")
    assert count(page) == "3 of 100 sentences"  # 2, 22 and 26
    cell.click()
    assert page.input_value("#predicted") == ""
    assert count(page) == "8 of 100 sentences"
    page.fill("#search", "")
    page.uncheck("#errors")
    assert count(page) == "100 of 100 sentences"


def test_without_a_browser_the_page_holds_no_markup_of_the_data(hostile: Path) -> None:
    html = render_html(read_metrics(hostile), [json.loads(line) for line in (hostile / "predictions.jsonl").open()])
    assert "<script>document" not in html
    assert "<img" not in html
    assert "<b>" not in html
    assert "http:" not in html.replace("http://www.w3.org/", "").replace("http://example.com", "")


def test_a_report_of_an_older_version_is_read_with_a_warning(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    new_metrics, new_rows = read_metrics(hostile), read_predictions(hostile)
    old_metrics = {"predicted" if name == "label_numbers" else name: v for name, v in new_metrics.items()}
    (hostile / "metrics.json").write_text(json.dumps(old_metrics))
    old_names = {"gold": "label", "label": "predicted", "holder": "predicted_holder"}
    old_rows = [{old_names.get(name, name): value for name, value in row.items()} for row in new_rows]
    write_jsonl(hostile / "predictions.jsonl", old_rows)
    assert read_metrics(hostile) == new_metrics
    assert read_predictions(hostile) == new_rows
    assert caplog.text.count("has the keys of an older version of stance") == 2
    write_pages(hostile)


def test_a_sentence_may_hold_any_line_separator(tmp_path: Path) -> None:
    text = "lift\u2028it\u0085now\x1c"
    folder = report_folder(tmp_path / "report", [text], [0])
    row = json.loads((folder / "predictions.jsonl").read_text())
    (folder / "predictions.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    write_pages(folder)
    assert [row["text"] for row in read_predictions(folder)] == [text]


def test_markdown_says_the_same_and_is_short(hostile: Path) -> None:
    metrics = read_metrics(hostile)
    text = render_markdown(metrics)
    assert len(text) < 65_536  # what GitHub takes as a comment
    assert f"{metrics['macro_f1']:.3f}" in text
    assert "1 of 2 passed" in text
    assert r"\<b\>debate\</b\>" in text


def test_the_pages_are_made_anew_from_the_two_files(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(hostile)]) == 0
    assert capsys.readouterr().out == f"{hostile}/report.html\n"
    first = (hostile / "report.html").read_bytes()
    (hostile / "report.html").unlink()
    write_pages(hostile)
    assert (hostile / "report.html").read_bytes() == first


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.json", None, "metrics.json cannot be read"),
        ("metrics.json", "{", "metrics.json is damaged"),
        ("metrics.json", "{}", "lacks 'macro_f1'"),
        ("predictions.jsonl", None, "predictions.jsonl cannot be read"),
        ("predictions.jsonl", "{}\n", "(?s)predictions.jsonl is damaged.*predictions.jsonl:1: no column 'text'"),
    ],
)
def test_a_folder_that_is_no_report_is_an_error(hostile: Path, file: str, content: str | None, message: str) -> None:
    if content is None:
        (hostile / file).unlink()
    else:
        (hostile / file).write_text(content)
    with pytest.raises(ReportError, match=message):
        write_pages(hostile)
    assert main(["report", str(hostile)]) == 1
    assert not (hostile / "report.html").exists()
