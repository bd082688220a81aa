import json
from pathlib import Path

import pytest

from stance.data.labelled import load_files
from stance.models.tfidf import TfidfSettings
from stance.schema import TaskSpec
from stance.training import train

PHRASES = {
    "for": "urged the Council to lift the arms embargo at once",
    "against": "opposed lifting the arms embargo and asked for its renewal",
    "conditional": "would lift the arms embargo only if one army is formed",
    "none": "met the envoy to talk about oil exports and schools",
}
COUNTRIES = ["Egypt", "France", "Italy", "Chad", "Jordan", "China", "Malta", "Niger", "Qatar", "Spain"]


def write_jsonl(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def tiny_rows(countries: list[str] = COUNTRIES) -> list[dict[str, object]]:
    return [
        {"doc": country, "text": f"{country} {phrase}.", "label": label}
        for country in countries
        for label, phrase in PHRASES.items()
    ]


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


@pytest.fixture(autouse=True)
def _no_default_model_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STANCE_MODEL", raising=False)
