"""The gate: conditions that an evaluation must meet, for CI."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stance.atomic import whole_file
from stance.data.labelled import LabelledData
from stance.evaluation.compare import check_comparable, difference
from stance.evaluation.report_folder import read_metrics
from stance.evaluation.step_summary import append_step_summary
from stance.schema import StanceError

POLARITY = "polarity"


class GateError(StanceError):
    """Conditions of the gate are broken."""

    exit_code = 4


@dataclass
class GateSettings:
    """Conditions that an evaluation must meet. Conditions set to None are skipped.

    Args:
        min_macro_f1: least macro-F1 over the stance labels.
        min_accuracy: least accuracy.
        max_ece: highest expected calibration error.
        min_behaviour: least share of behavioural tests passed, without those of `polarity`.
        min_polarity: least share passed of those of `polarity`, which n-grams cannot tell.
        baseline: a report folder on the same test set, of which `metrics.json` is enough.
        max_drop: how far macro-F1 may fall below the baseline's. A larger drop counts only when the 95 % interval of
            the paired difference leaves out `max_drop`, so that chance alone breaks nothing.
        junit: a file to write the conditions to, as JUnit XML.

    Raises:
        StanceError: if a value is out of its range.
    """

    min_macro_f1: float | None = None
    min_accuracy: float | None = None
    max_ece: float | None = None
    min_behaviour: float | None = None
    min_polarity: float | None = None
    baseline: str | None = None
    max_drop: float | None = None
    junit: str | None = None

    def __post_init__(self) -> None:
        for name in ("min_macro_f1", "min_accuracy", "max_ece", "min_behaviour", "min_polarity", "max_drop"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise StanceError(f"gate.{name} must be from 0 to 1, not {value}")
        if (self.baseline is None) != (self.max_drop is None):
            raise StanceError("gate.baseline=DIR and gate.max_drop=NUMBER go together")


@dataclass(frozen=True)
class Condition:
    """A condition that was checked, whether it held, and a line that says so."""

    name: str
    held: bool
    line: str


class Gate:
    """Settings with the baseline's metrics, which are read before an evaluation could overwrite them.

    Raises:
        ReportError: if the baseline cannot be read.
    """

    def __init__(self, settings: GateSettings) -> None:
        self.settings = settings
        self.baseline = read_metrics(Path(settings.baseline)) if settings.baseline else None

    def enforce(self, metrics: Mapping[str, Any], data: LabelledData, report: Path) -> list[str]:
        """Check an evaluation, and publish the outcome: in the step summary, and as JUnit XML where it is asked for.

        Args:
            metrics: the contents of its `metrics.json`.
            data: the labelled sentences that were scored.
            report: the report folder.

        Returns:
            A line for each condition.

        Raises:
            GateError: if a condition is broken; with the same lines, those of broken conditions first.
            ReportError: if the baseline is of another test set.
            StanceError: if behavioural tests are asked for, and none were run.
        """
        conditions = self.check(metrics, data.labels, data.documents)
        append_step_summary(report, [f"{'✅' if c.held else '❌'} {c.line}" for c in conditions])
        if self.settings.junit:
            write_junit(Path(self.settings.junit), conditions)
        lines = [c.line for c in sorted(conditions, key=lambda c: c.held)]
        if not all(c.held for c in conditions):
            raise GateError("\n".join(lines))
        return lines

    def check(self, metrics: Mapping[str, Any], gold: Sequence[str], documents: Sequence[str]) -> list[Condition]:
        """Check the conditions that are set.

        Args:
            metrics: the contents of an evaluation's `metrics.json`.
            gold: the true labels, n of them.
            documents: the sentences' documents, n of them.

        Raises:
            ReportError: if the baseline is of another test set.
            StanceError: if behavioural tests are asked for, and none were run.
        """
        asked = self.settings
        conditions = []
        if asked.min_macro_f1 is not None:
            conditions.append(_at_least("macro_f1", metrics["macro_f1"], asked.min_macro_f1))
        if asked.min_accuracy is not None:
            conditions.append(_at_least("accuracy", metrics["accuracy"], asked.min_accuracy))
        if asked.min_behaviour is not None:
            share = _pass_rate(metrics, "min_behaviour", lambda kind: kind != POLARITY)
            conditions.append(_at_least("behaviour", share, asked.min_behaviour))
        if asked.min_polarity is not None:
            share = _pass_rate(metrics, "min_polarity", lambda kind: kind == POLARITY)
            conditions.append(_at_least("polarity", share, asked.min_polarity))
        if asked.max_ece is not None:
            conditions.append(_at_most("ece", metrics["ece"], asked.max_ece))
        if self.baseline is not None:
            conditions.append(self._drop(self.baseline, metrics, gold, documents))
        return conditions

    def _drop(
        self, baseline: Mapping[str, Any], metrics: Mapping[str, Any], gold: Sequence[str], documents: Sequence[str]
    ) -> Condition:
        most = self.settings.max_drop or 0.0
        check_comparable(baseline, metrics, (self.settings.baseline, "this evaluation"))
        found = difference(gold, documents, baseline, metrics)
        drop, least, highest = (0.0 - change for change in (found.macro_f1, found.interval[1], found.interval[0]))
        fact = (
            f"drop of macro_f1 from {self.settings.baseline}, with its 95 % interval from {least:.4f} to {highest:.4f},"
        )
        if drop > most >= least:
            return Condition("max_drop", True, f"held, as the interval includes {most}: {fact} is {drop:.4f}")
        return _at_most("drop", drop, most, fact)


def _at_least(name: str, value: float, least: float) -> Condition:
    held = value >= least
    return Condition(f"min_{name}", held, f"{_verdict(held)}: {name} is {value:.4f}, at least {least} is asked")


def _at_most(name: str, value: float, most: float, fact: str = "") -> Condition:
    held = value <= most
    return Condition(f"max_{name}", held, f"{_verdict(held)}: {fact or name} is {value:.4f}, at most {most} is asked")


def _verdict(held: bool) -> str:
    return "held" if held else "broken"


def _pass_rate(metrics: Mapping[str, Any], asked: str, wanted: Callable[[str], bool]) -> float:
    results = [result for result in metrics.get("behaviour", {}).values() if wanted(result["kind"])]
    if not results:
        raise StanceError(f"gate.{asked}: no such behavioural tests were run; give behaviour=DIR")
    return float(sum(r["passed"] for r in results) / sum(r["cases"] for r in results))


def write_junit(file: Path, conditions: Sequence[Condition]) -> None:
    """Write conditions as JUnit XML: a test case for each, which failed if the condition is broken."""
    broken = [c for c in conditions if not c.held]
    suite = ET.Element("testsuite", name="gate", tests=str(len(conditions)), failures=str(len(broken)))
    for condition in conditions:
        case = ET.SubElement(suite, "testcase", classname="gate", name=condition.name)
        if not condition.held:
            ET.SubElement(case, "failure", message=condition.line)
    with whole_file(file) as stream:
        stream.write(ET.tostring(suite, encoding="unicode", xml_declaration=True))
