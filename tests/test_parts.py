"""The parts of the labelled data, loaded together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run, tiny_rows, write_jsonl

from stance.data.labelled import LabelledData, load_files
from stance.data.parts import load_parts
from stance.data.real import PARTS, letters_sha256
from stance.data.rows import DataError
from stance.schema import TaskSpec
from stance.text.characters import letters

TASK = TaskSpec()


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """A corpus of ten documents and, as real text, the same sentences said by others, in all three splits."""
    corpus, real = tmp_path / "corpus", tmp_path / "real"
    corpus.mkdir()
    real.mkdir()
    rows = [{**row, "sent": i % 4 + 1, "holder": ""} for i, row in enumerate(tiny_rows())]
    write_jsonl(corpus / "tiny.jsonl", rows)
    documents = [str(row["doc"]) for row in rows[::4]]
    splits = {"train": documents[:6], "validation": documents[6:8], "test": documents[8:]}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    index = []
    for part in PARTS:
        said = [{**row, "doc": f"real-{row['doc']}"} for row in rows if row["doc"] in splits[part]]
        write_jsonl(real / f"{part}.jsonl", said)
        for doc in dict.fromkeys(row["doc"] for row in said):
            members = [row for row in said if row["doc"] == doc]
            index.append(
                {
                    "doc": doc,
                    "part": part,
                    "repo": "a/b",
                    "path": "c",
                    "commit": "d",
                    "decode": "text",
                    "source": "Speeches",
                    "sent": [row["sent"] for row in members],
                    "start": [0] * 4,
                    "length": [len(letters(str(row["text"]))) for row in members],
                    "sha256": [letters_sha256(str(row["text"])) for row in members],
                    "label": [row["label"] for row in members],
                }
            )
    write_jsonl(tmp_path / "index.jsonl", index)
    return {
        "corpus_dir": corpus,
        "splits": tmp_path / "splits.json",
        "real_index": tmp_path / "index.jsonl",
        "real_dir": real,
        "article_labels": tmp_path / "labels.jsonl",
        "articles_dir": tmp_path,
    }


@pytest.fixture
def parts(folders: dict[str, Path]) -> Callable[..., dict[str, LabelledData]]:
    return lambda *names: load_parts(names, TASK, **folders)


def overrides(folders: dict[str, Path]) -> list[str]:
    return [f"data.{name}={path}" for name, path in folders.items()]


def test_parts_stand_one_after_the_other_and_are_told_apart(parts: Callable[..., dict[str, LabelledData]]) -> None:
    both = parts("corpus", "real")
    assert {split: len(rows) for split, rows in both.items()} == {"train": 48, "validation": 16, "test": 16}
    assert both["train"].parts == ["corpus"] * 24 + ["real"] * 24
    for part, rows in both["test"].by_part().items():
        assert rows.fingerprint == parts(part)["test"].fingerprint
    assert both["test"].fingerprint != parts("real", "corpus")["test"].fingerprint


@pytest.mark.parametrize("names", [(), ("corpus", "corpus"), ("corpus", "press")])
def test_parts_that_are_none_are_told(parts: Callable[..., dict[str, LabelledData]], names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"data\.parts"):
        parts(*names)


def test_the_stances_of_each_part_weigh_the_same(parts: Callable[..., dict[str, LabelledData]]) -> None:
    train = parts("corpus", "real")["train"]
    fewer = train.select([*range(24), *range(24, 32)])  # eight real sentences, six of them with a stance
    weights = np.array(fewer.balanced().weights)
    assert weights.mean() == pytest.approx(1)
    assert weights[:24].sum() == pytest.approx(weights[24:].sum())
    assert len(set(weights.tolist())) == 2
    assert fewer.weighted(3.0).weights == [1.0] * 24 + [3.0] * 8


def test_a_users_own_data_weigh_the_same(tiny_files: dict[str, Path]) -> None:
    train = load_files(tiny_files, TASK, seed=1)["train"]
    np.testing.assert_allclose(train.balanced().weights, np.ones(len(train)))
    assert train.weighted(3.0).weights == [1.0] * len(train)


def test_scripts_train_and_report_on_both_parts_side_by_side(folders: dict[str, Path], tmp_path: Path) -> None:
    model, report = tmp_path / "model", tmp_path / "report"
    data = ["data.parts=[corpus,real]", *overrides(folders)]
    printed = run("train.py", *data, f"out={model}", f"report={report}")
    described: dict[str, Any] = json.loads((model / "model.json").read_text())
    assert described["training_data"]["name"] == "corpus+real"
    assert set(described["training_data"]["parts"]) == {"corpus", "real"}
    metrics = json.loads((report / "metrics.json").read_text())
    assert {part: figures["sentences"] for part, figures in metrics["parts"].items()} == {"corpus": 8, "real": 8}
    assert "| corpus | 1.000 |" in (report / "report.md").read_text()
    assert [line.split()[0] for line in printed.splitlines() if "[" in line] == [
        *("validation", "corpus", "real"),
        *("test", "corpus", "real"),
    ]
    evaluated = tmp_path / "evaluated"
    run("evaluate.py", f"model_dir={model}", "data=real", *overrides(folders), f"out={evaluated}", "behaviour=null")
    alone = json.loads((evaluated / "metrics.json").read_text())
    assert "parts" not in alone
    for name in ("macro_f1", "takes_a_stance", "per_class"):
        assert alone[name] == metrics["parts"]["real"][name]


def test_without_real_text_the_error_says_how_to_fetch_it(folders: dict[str, Path], tmp_path: Path) -> None:
    data = ["data.parts=[corpus,real]", *overrides({**folders, "real_dir": tmp_path / "absent"})]
    assert "stance data fetch" in run("train.py", *data, f"out={tmp_path / 'm'}", code=1)
    assert not (tmp_path / "m").exists()


def test_a_weight_of_real_sentences_must_be_positive(folders: dict[str, Path], tmp_path: Path) -> None:
    printed = run("train.py", *overrides(folders), "data.real_weight=0", f"out={tmp_path / 'm'}", code=1)
    assert "data.real_weight must be positive" in printed
