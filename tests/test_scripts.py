"""`train.py` and `evaluate.py`, run as users run them, and the configuration that they read."""

import json
from pathlib import Path

import pytest
from conftest import run, write_jsonl
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from stance.hydra_app import CONF, register, settings, task_spec
from stance.models.tfidf import TfidfSettings
from stance.models.transformer.settings import TransformerSettings
from stance.schema import StanceError, TaskSpec

ROOT = CONF.parent


def on_tiny(files: dict[str, Path]) -> list[str]:
    return ["data=file", *(f"data.{split}={file}" for split, file in files.items())]


def metrics(folder: Path) -> dict[str, object]:
    return json.loads((folder / "metrics.json").read_text())  # type: ignore[no-any-return]


def config_choices() -> list[tuple[str, list[str]]]:
    choices = [("train", []), ("evaluate", [])]
    for file in sorted(CONF.glob("*/*.yaml")):
        group, name = file.parent.name, file.stem
        choices += [
            (script, [f"{group}={name}"]) for script in ("train", "evaluate") if script == "train" or group == "data"
        ]
    return choices


@pytest.mark.parametrize(("script", "overrides"), config_choices())
def test_every_config_composes(script: str, overrides: list[str]) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(script, overrides)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    if script == "train":
        assert task_spec(cfg.task) == TaskSpec()
        assert isinstance(settings(cfg.model), (TfidfSettings, TransformerSettings))


def test_every_config_has_a_header() -> None:
    for file in CONF.rglob("*.yaml"):
        head = file.read_text().split("defaults:")[0]
        for word in ("# Purpose:", "# Command:", "# Score:"):
            assert word in head, file


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.Q=1", "model.Q"),
        ("model.C=much", "model.C"),
        ("model.C=-1", "model.C"),
        ("model.char_ngrams=1", "model.char_ngrams"),
        ("sed=1", "sed"),
        ("seed=one", "seed"),
        ("model=oracle", "model/oracle"),
        ("data.corpusdir=x", "data.corpusdir"),
        ("test=perhaps", "test"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(override: str, named: str) -> None:
    register()
    with (
        initialize_config_dir(str(CONF), version_base="1.3"),
        pytest.raises((HydraException, OmegaConfBaseException, StanceError)) as refused,
    ):
        settings(compose("train", [override]).model)
    assert named in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize(("override", "named"), [("model.Q=1", "model.Q"), ("seed=-1", "seed")])
def test_a_wrong_option_ends_a_script_without_a_traceback(override: str, named: str) -> None:
    assert named in run("train.py", override, code=1)


def test_train_and_evaluate_report_the_same_test_score(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    out, first, second = tmp_path / "model", tmp_path / "first", tmp_path / "second"
    printed = run("train.py", *on_tiny(tiny_files), f"out={out}", f"report={first}")
    assert "macro-F1" in printed
    assert str(first / "report.html") in printed
    data = ["data=file", f"data.test={tiny_files['test']}"]
    run("evaluate.py", f"model_dir={out}", *data, f"out={second}", "behaviour=null")
    for folder in (first, second):
        assert {file.name for file in folder.iterdir()} == {
            "metrics.json",
            "report.md",
            "report.html",
            "predictions.jsonl",
        }
    assert metrics(first) == metrics(second)
    assert (first / "predictions.jsonl").read_bytes() == (second / "predictions.jsonl").read_bytes()


def test_the_same_command_gives_the_same_metrics(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("train.py", *on_tiny(tiny_files), f"out={tmp_path / name / 'm'}", f"report={tmp_path / name / 'r'}")
    assert metrics(tmp_path / "a" / "r") == metrics(tmp_path / "b" / "r")


def test_training_with_test_off_reports_validation(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    run("train.py", *on_tiny(tiny_files), f"out={tmp_path / 'm'}", f"report={tmp_path / 'r'}", "test=false")
    assert metrics(tmp_path / "r")["split"] == "validation"


def test_a_multirun_over_seeds_keeps_every_model(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    printed = run("train.py", "--multirun", "seed=1,2", *on_tiny(tiny_files), f"hydra.sweep.dir={tmp_path / 'sweep'}")
    for job, seed in (("0", 1), ("1", 2)):
        assert json.loads((tmp_path / "sweep" / job / "model" / "model.json").read_text())["seed"] == seed
        assert (tmp_path / "sweep" / job / "report" / "report.md").is_file()
    results = json.loads((tmp_path / "sweep" / "results.json").read_text())
    assert [result["overrides"][0] for result in results] == ["seed=1", "seed=2"]
    assert "macro-F1 on held-out data" in printed


def test_an_own_label_set_and_no_validation_file(tmp_path: Path) -> None:
    phrases = {"agree": "is quite right", "disagree": "is wrong", "neutral": "spoke"}
    rows = [{"text": f"{n} {p}.", "label": y} for n in range(30) for y, p in phrases.items()]
    train = write_jsonl(tmp_path / "train.jsonl", rows)
    test = tmp_path / "test.csv"
    test.write_text("text,label\nShe is quite right.,agree\nHe is wrong.,disagree\nThey spoke.,neutral\n")
    out, report = tmp_path / "m", tmp_path / "r"
    run(
        "train.py",
        "data=file",
        f"data.train={train}",
        f"data.test={test}",
        "task.labels=[agree,disagree,neutral]",
        "task.stance_labels=[agree,disagree]",
        f"out={out}",
        f"report={report}",
    )
    found = metrics(report)
    assert found["labels"] == ["agree", "disagree", "neutral"]
    assert found["stance_labels"] == ["agree", "disagree"]
    assert found["macro_f1"] == 1.0
    evaluated = tmp_path / "e"
    run("evaluate.py", f"model_dir={out}", "data=file", f"data.test={test}", f"out={evaluated}")
    assert metrics(evaluated) == found


def test_cross_validation_reports_mean_and_spread(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    report = tmp_path / "cv"
    out = tmp_path / "m"
    printed = run("train.py", *on_tiny(tiny_files), "cross_validation=4", f"out={out}", f"report={report}")
    assert "standard deviation" in printed
    found = json.loads((report / "cross_validation.json").read_text())
    assert len(found["folds"]) == 4
    assert sum(fold["sentences"] for fold in found["folds"]) == 32  # train and validation, not test
    assert found["mean"]["macro_f1"] == pytest.approx(sum(f["macro_f1"] for f in found["folds"]) / 4)
    assert not out.exists()


def test_bad_rows_stop_before_training_and_leave_nothing(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": "for"}, {"text": "", "label": "perhaps"}])
    printed = run("train.py", "data=file", f"data.train={file}", f"out={tmp_path / 'm'}", code=1)
    assert f"{file}:2: 'text' is blank" in printed
    assert sorted(tmp_path.iterdir()) == [file]


def test_a_label_in_too_few_documents_is_named(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": ["for", "against", "none"][i % 3]} for i in range(30)]
    file = write_jsonl(tmp_path / "train.jsonl", rows)
    assert "'conditional' occurs in 0 training document" in run(
        "train.py", "data=file", f"data.train={file}", f"out={tmp_path / 'm'}", code=1
    )


def test_a_folder_that_is_no_model_is_never_replaced(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    report = tmp_path / "r"
    assert "is not replaced" in run("train.py", *on_tiny(tiny_files), f"out={precious}", f"report={report}", code=1)
    assert [file.name for file in precious.iterdir()] == ["thesis.txt"]


def test_evaluate_says_which_splits_there_are(tiny_model: Path, tiny_files: dict[str, Path]) -> None:
    printed = run(
        "evaluate.py", f"model_dir={tiny_model}", "data=file", f"data.test={tiny_files['test']}", "split=dev", code=1
    )
    assert "no split 'dev'" in printed
    assert "only test" in printed


def test_training_needs_training_data(tiny_files: dict[str, Path], tmp_path: Path) -> None:
    printed = run("train.py", "data=file", f"data.test={tiny_files['test']}", f"out={tmp_path / 'm'}", code=1)
    assert "no split 'train'" in printed


def test_evaluate_on_articles_that_are_not_at_hand(tiny_model: Path, tmp_path: Path) -> None:
    printed = run("evaluate.py", f"model_dir={tiny_model}", "data=articles", code=1, STANCE_ARTICLES=str(tmp_path))
    assert "000_64a7356845f0c659.txt" in printed
    assert "STANCE_ARTICLES" in printed
