import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stance.data.labelled import load_files
from stance.models.tfidf import TfidfSettings
from stance.models.transformer.settings import TransformerSettings
from stance.schema import Attribution, Sentence, TaskSpec
from stance.training import train

ROOT = Path(__file__).parents[1]
PHRASES = {
    "for": "urged the Council to lift the arms embargo at once",
    "against": "opposed lifting the arms embargo and asked for its renewal",
    "conditional": "would lift the arms embargo only if one army is formed",
    "none": "met the envoy to talk about oil exports and schools",
}
COUNTRIES = ["Egypt", "France", "Italy", "Chad", "Jordan", "China", "Malta", "Niger", "Qatar", "Spain"]
BROWSER = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
HOSTILE = [
    "<script>document.title = 'taken'</script> | lift *it* [now](http://example.com)",
    "\"quoted\" & 'quoted' </script><img src=x onerror=\"document.title = 'taken'\">",
    "abc \u202e def \u200f ghi",
    "ارفعوا حظر السلاح",
]


def write_jsonl(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def tiny_rows(countries: list[str] = COUNTRIES) -> list[dict[str, object]]:
    return [
        {"doc": country, "text": f"{country} {phrase}.", "label": label}
        for country in countries
        for label, phrase in PHRASES.items()
    ]


def run(script: str, *overrides: object, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / script, *map(str, overrides)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return {
        "train": write_jsonl(folder / "train.jsonl", tiny_rows(COUNTRIES[:6])),
        "validation": write_jsonl(folder / "validation.jsonl", tiny_rows(COUNTRIES[6:8])),
        "test": write_jsonl(folder / "test.jsonl", tiny_rows(COUNTRIES[8:])),
    }


@pytest.fixture(scope="session")
def tiny_model(tiny_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    train(
        load_files(tiny_files, TaskSpec(), seed=1),
        task=TaskSpec(),
        settings=TfidfSettings(),
        seed=1,
        out=folder,
        report=folder.parent / "report",
        data_name="tiny",
    )
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained BERT of two layers that knows the words of the tiny data, as a folder."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = sorted({word for row in tiny_rows() for word in re.findall(r"\w+|[^\w\s]", str(row["text"]).lower())})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tiny_settings(encoder: Path, **changes: object) -> TransformerSettings:
    defaults = {"encoder": str(encoder), "max_length": 32, "epochs": 30, "patience": 30, "learning_rate": 3e-3}
    return TransformerSettings(**{**defaults, "batch_size": 8, "freeze_embeddings": False, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def tiny_transformer(tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformer") / "tiny"
    train(
        load_files(tiny_files, TaskSpec(), seed=1),
        task=TaskSpec(),
        settings=tiny_settings(tiny_encoder),
        seed=1,
        out=folder,
        report=folder.parent / "report",
        data_name="tiny",
    )
    return folder


@pytest.fixture(autouse=True)
def _no_default_model_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STANCE_MODEL", raising=False)


@pytest.fixture
def browse() -> Iterator[Callable[..., Any]]:
    """Opens a file in a browser, on a phone in dark mode; the page notes what it asked for, and what went wrong."""
    if BROWSER is None:
        pytest.skip("no Chromium or Chrome is installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )

        def opened(file: Path, width: int = 390) -> Any:
            page: Any = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark")
            page.asked_for = []
            page.said = []
            page.on("request", lambda request: page.asked_for.append(request.url))
            page.on("console", lambda message: page.said.append(message.text))
            page.on("pageerror", lambda error: page.said.append(str(error)))
            page.goto(f"file://{file}")
            return page

        yield opened
        browser.close()


class Reader:
    """A model that needs no training: `lift` is for, `keep` against, `if` conditional; the first word is the holder."""

    task = TaskSpec()
    explains_at_once = False

    def read(
        self, sentences: Sequence[Sentence], *, batch_size: int = 1024, progress: bool = False
    ) -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[str | None]]:
        probabilities = np.full((len(sentences), 4), 0.1)
        holders: list[str | None] = []
        for row, sentence in enumerate(sentences):
            words = sentence.text.lower()
            number = next((i for i, word in enumerate(("lift", "keep", "if ")) if word in words), 3)
            probabilities[row, number] = 0.7
            said_by = sentence.text.partition(":")[0] if ":" in sentence.text else "author"
            holders.append(None if number == 3 else said_by)
        return probabilities, holders

    def predict_proba(
        self, sentences: Sequence[Sentence], *, batch_size: int = 1024, progress: bool = False
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self.read(sentences)[0]

    def explain(self, sentences: Sequence[Sentence], labels: Sequence[str]) -> list[list[Attribution]]:
        raise NotImplementedError
