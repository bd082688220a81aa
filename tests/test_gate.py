"""Comparing reports, and the gate that CI acts on."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from conftest import run
from scipy.stats import binomtest
from test_report import report_folder
from test_scripts import on_tiny

from stance.cli import main
from stance.data.labelled import LabelledData
from stance.evaluation.compare import compare, difference
from stance.evaluation.gate import Gate, GateError, GateSettings
from stance.evaluation.report_folder import ReportError, read_metrics
from stance.schema import StanceError, TaskSpec

TEXTS = [f"sentence {i}" for i in range(200)]
GOLD = ["for"] * 200
DOCUMENTS = [f"doc{i // 2}" for i in range(200)]


def reports(tmp_path: Path, *wrong: int) -> list[Path]:
    """Reports on the same sentences, each with so many errors at their beginning."""
    return [
        report_folder(tmp_path / f"report{i}", TEXTS, [1] * errors + [0] * (200 - errors))
        for i, errors in enumerate(wrong)
    ]


def test_a_difference_has_a_paired_interval_and_mcnemars_p(tmp_path: Path) -> None:
    first, second = (read_metrics(folder) for folder in reports(tmp_path, 40, 20))
    found = difference(GOLD, DOCUMENTS, first, second)
    assert found.macro_f1 == pytest.approx(second["macro_f1"] - first["macro_f1"])
    low, high = found.interval
    assert 0 < low < found.macro_f1 < high
    assert (found.fixed, found.broken) == (20, 0)
    assert found.p_value == pytest.approx(binomtest(20, 20).pvalue)
    # Paired, the difference is surer than the two intervals let it seem.
    assert high - low < np.ptp(first["macro_f1_interval"]) + np.ptp(second["macro_f1_interval"])
    back = difference(GOLD, DOCUMENTS, second, first)
    assert (back.macro_f1, back.fixed, back.broken) == (pytest.approx(-found.macro_f1), 0, 20)


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    (folder,) = reports(tmp_path, 40)
    metrics = read_metrics(folder)
    found = difference(GOLD, DOCUMENTS, metrics, metrics)
    assert (found.macro_f1, found.interval, found.p_value) == (0, (0, 0), 1)


def test_reports_are_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = reports(tmp_path, 40, 20, 60)
    assert main(["compare", *map(str, folders)]) == 0
    text = capsys.readouterr().out
    assert text.strip() == compare(folders).strip()
    assert "20 became right in" in text
    assert "20 became wrong in" in text
    assert "| for | against | for | 70% | sentence 20 |" in text
    assert all(str(folder).replace("_", r"\_") in text for folder in folders)


def test_different_test_sets_are_refused(tmp_path: Path) -> None:
    first, second = reports(tmp_path, 40, 20)
    metrics = json.loads((second / "metrics.json").read_text())
    (second / "metrics.json").write_text(json.dumps({**metrics, "data_sha256": "1" * 64}))
    with pytest.raises(ReportError, match=r"different test sets \(0{12} and 1{12}\)"):
        compare([first, second])
    assert main(["compare", str(first), str(second)]) == 1
    gate = Gate(GateSettings(baseline=str(first), max_drop=0.5))
    with pytest.raises(ReportError, match="different test sets"):
        gate.check(read_metrics(second), GOLD, DOCUMENTS)


def check(tmp_path: Path, settings: GateSettings, errors: int) -> list[tuple[str, bool]]:
    folder = report_folder(tmp_path / "checked", TEXTS, [1] * errors + [0] * (200 - errors))
    conditions = Gate(settings).check(read_metrics(folder), GOLD, DOCUMENTS)
    assert all(c.line.startswith("held" if c.held else "broken") for c in conditions)
    return [(c.name, c.held) for c in conditions]


def test_each_condition_is_held_or_broken_for_itself(tmp_path: Path) -> None:
    # 50 of 200 wrong: accuracy 0.75, the F1 of `for` 0.857 and those of the two other stances 0; confidence 0.7.
    settings = GateSettings(min_macro_f1=0.28, min_accuracy=0.76, max_ece=0.04)
    assert check(tmp_path, settings, 50) == [("min_macro_f1", True), ("min_accuracy", False), ("max_ece", False)]


@pytest.mark.parametrize(
    ("errors", "held"),
    [
        (40, True),  # no drop
        (44, True),  # a drop above max_drop, which chance explains
        (90, False),
    ],
)
def test_a_drop_counts_only_when_chance_does_not_explain_it(tmp_path: Path, errors: int, held: bool) -> None:
    (baseline,) = reports(tmp_path, 40)
    (baseline / "predictions.jsonl").unlink()
    settings = GateSettings(baseline=str(baseline), max_drop=0.004)
    assert check(tmp_path, settings, errors) == [("max_drop", held)]


def test_a_drop_that_does_not_count_is_told(tmp_path: Path) -> None:
    baseline, other = reports(tmp_path, 40, 44)
    (condition,) = Gate(GateSettings(baseline=str(baseline), max_drop=0.004)).check(
        read_metrics(other), GOLD, DOCUMENTS
    )
    assert condition.held
    assert "held, as the interval includes 0.004" in condition.line


def test_polarity_has_a_condition_of_its_own(tmp_path: Path) -> None:
    results = [("plain", "invariance", 9, 10), ("bids to lift blocked", "polarity", 1, 4)]
    behaviour = {name: {"kind": k, "passed": p, "cases": n, "failures": []} for name, k, p, n in results}
    folder = report_folder(tmp_path / "checked", TEXTS, [0] * 200, behaviour=behaviour)
    settings = GateSettings(min_behaviour=0.9, min_polarity=0.3)
    conditions = Gate(settings).check(read_metrics(folder), GOLD, DOCUMENTS)
    assert [(c.name, c.held) for c in conditions] == [("min_behaviour", True), ("min_polarity", False)]


def test_behaviour_that_was_not_tested_cannot_pass(tmp_path: Path) -> None:
    (folder,) = reports(tmp_path, 40)
    with pytest.raises(StanceError, match=r"gate\.min_behaviour: no such behavioural tests were run"):
        Gate(GateSettings(min_behaviour=0.5)).check(read_metrics(folder), GOLD, DOCUMENTS)


def test_the_error_has_a_line_for_each_broken_condition(tmp_path: Path) -> None:
    (folder,) = reports(tmp_path, 50)
    rows = [{"text": text, "label": label, "doc": doc} for text, label, doc in zip(TEXTS, GOLD, DOCUMENTS, strict=True)]
    data = LabelledData.of(rows, TaskSpec())
    gate = Gate(GateSettings(min_accuracy=0.9, min_macro_f1=0.9, max_ece=0.5))
    with pytest.raises(GateError) as error:
        gate.enforce(read_metrics(folder), data, folder)
    assert [line.split(" is ")[0] for line in str(error.value).splitlines()] == [
        *("broken: macro_f1", "broken: accuracy", "held: ece"),
    ]
    assert [
        line.split(" is ")[0] for line in Gate(GateSettings(max_ece=0.5)).enforce(read_metrics(folder), data, folder)
    ] == ["held: ece"]


@pytest.mark.parametrize(
    "settings", [{"min_macro_f1": 1.1}, {"max_ece": -0.1}, {"baseline": "reports/main"}, {"max_drop": 0.1}]
)
def test_conditions_that_make_no_sense(settings: dict[str, object]) -> None:
    with pytest.raises(StanceError, match=r"gate\."):
        GateSettings(**settings)  # type: ignore[arg-type]


def test_the_script_ends_with_code_4_and_tells_github(
    tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    summary, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    printed = run(
        "evaluate.py",
        f"model_dir={tiny_model}",
        *on_tiny(tiny_files),
        f"out={tmp_path / 'report'}",
        "gate.min_accuracy=0.5",
        "gate.min_behaviour=1",
        f"gate.junit={junit}",
        code=4,
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert printed.count("broken: ") == 1
    assert "held: accuracy" in printed
    assert (tmp_path / "report" / "report.html").is_file()
    assert "macro-F1" in summary.read_text()
    assert "❌ broken: behaviour" in summary.read_text()
    suite = ET.parse(junit).getroot()
    assert {case.get("name"): len(case) for case in suite} == {"min_accuracy": 0, "min_behaviour": 1}
    metrics = read_metrics(tmp_path / "report")
    assert len(metrics["behaviour"]) >= 20


def test_a_baseline_that_is_overwritten_was_read_before(
    tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    command = ["evaluate.py", f"model_dir={tiny_model}", *on_tiny(tiny_files), f"out={tmp_path / 'report'}"]
    run(*command)
    assert "held: drop" in run(*command, f"gate.baseline={tmp_path / 'report'}", "gate.max_drop=0")
    missing = run(*command, f"gate.baseline={tmp_path / 'none'}", "gate.max_drop=0", code=1)
    assert "cannot be read" in missing
