import hashlib
import json
import shutil
from pathlib import Path

import pytest
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression

from stance import load, predict
from stance.models.folder import ModelFolderError


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def edit(folder: Path, **changes: object) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_the_description_says_what_the_model_is(tiny_model: Path) -> None:
    description = json.loads((tiny_model / "model.json").read_text())
    assert description["kind"] == "tfidf"
    assert description["task"]["labels"] == ["for", "against", "conditional", "none"]
    assert description["seed"] == 1
    assert description["training_data"]["sentences"] == 24
    assert set(description["sha256"]) == {"README.md", "pipeline.skops"}
    assert set(description["versions"]) >= {"scikit-learn", "skops", "numpy"}
    assert description["validation"]["macro_f1"] == 1.0


def test_the_card_has_the_metadata_of_the_hub(tiny_model: Path) -> None:
    _, head, body = (tiny_model / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["license"] == "mit"
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["value"] == 1.0
    assert "macro-F1 over for, against, conditional | 1.000" in body


def test_a_copy_predicts_the_same(tiny_model: Path, copy: Path) -> None:
    text = "Peru opposed lifting the arms embargo."
    assert predict(text, model=copy) == predict(text, model=tiny_model)


def test_labels_come_from_the_folder(copy: Path) -> None:
    description = json.loads((copy / "model.json").read_text())
    edit(copy, task={**description["task"], "labels": ["none", "for", "against", "conditional"]})
    assert next(iter(predict("Peru met the envoy.", model=copy).probabilities)) == "none"


@pytest.mark.parametrize("name", ["pipeline.skops", "README.md"])
def test_an_altered_file_is_refused(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ModelFolderError, match=rf"{name} was altered"):
        load(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "pipeline.skops").unlink()
    with pytest.raises(ModelFolderError, match=r"pipeline\.skops cannot be read"):
        load(copy)


def test_weights_without_a_hash_are_refused(copy: Path) -> None:
    edit(copy, sha256={})
    with pytest.raises(ModelFolderError, match=r"no SHA-256 for pipeline\.skops"):
        load(copy)


def test_a_newer_schema_is_refused(copy: Path) -> None:
    edit(copy, schema_version=99)
    with pytest.raises(ModelFolderError, match="schema version 99"):
        load(copy)


def test_an_unknown_kind_is_refused(copy: Path) -> None:
    edit(copy, kind="oracle")
    with pytest.raises(ModelFolderError, match="oracle"):
        load(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 1}'])
def test_a_damaged_description_is_refused(copy: Path, content: str) -> None:
    (copy / "model.json").write_text(content)
    with pytest.raises(ModelFolderError, match=r"model\.json is damaged"):
        load(copy)


def test_no_folder_and_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(ModelFolderError, match=r"no readable model\.json"):
        load(tmp_path)


def test_types_that_no_baseline_has_are_refused(copy: Path) -> None:
    class Surprise(LogisticRegression):
        pass

    weights = copy / "pipeline.skops"
    skops.io.dump(Surprise(), weights)
    description = json.loads((copy / "model.json").read_text())
    edit(copy, sha256={**description["sha256"], weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()})
    with pytest.raises(ModelFolderError, match="Untrusted types"):
        load(copy)
