"""Behavioural tests (CheckList: Ribeiro et al. 2020): small cases, by capability, that a good model passes."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stance.data.rows import BadRow, DataError, Field, Row, read_file, why_unfit
from stance.models.base import StanceModel
from stance.schema import Sentence, TaskSpec

log = logging.getLogger(__name__)

# What a file of cases is called, and the fields that its cases have beside `capability` and `text`.
KINDS = {
    "minimum_functionality": ("label",),  # the label is found
    "polarity": ("label",),  # likewise, where the words of lifting and of keeping mislead
    "invariance": ("variant",),  # text and variant get the same label
    "direction": ("variant", "toward"),  # the variant makes the label `toward` more probable than the text does
}
MADE_PER_CAPABILITY = 50

COUNTRIES = (
    *("Algeria", "Argentina", "Brazil", "Canada", "Chad", "Chile", "China", "Denmark", "Egypt", "Ethiopia", "France"),
    *("Germany", "Ghana", "Greece", "India", "Italy", "Japan", "Jordan", "Kenya", "Malta", "Morocco", "Niger"),
    *("Nigeria", "Norway", "Pakistan", "Poland", "Portugal", "Qatar", "Russia", "Rwanda", "Senegal", "Spain"),
    *("Sweden", "Tunisia", "Turkey", "Uganda"),
)
SURNAMES = ("Adeyemi", "Bakker", "Castellano", "Demir", "Eriksen", "Fofana", "Ghanem", "Halloran", "Ibrahimi", "Janda")
TITLES = "Ambassador|Captain|Colonel|Dr|General|Judge|Lord|Major|Minister|Mr|Mrs|Ms|President|Professor|Senator"
# What follows a title and is no name: the General Assembly, the Lord Bishop.
NO_NAMES = "Assembly|Bishop|Command|Congress|National|Plenipotentiary|Secretary|Staff"
TITLED = re.compile(rf"\b(?:{TITLES})\.? (?!{TITLES}|{NO_NAMES})([A-Z][a-z]+)\b")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "June", "July", "August", "September", "October", "November"),
    "December",
)  # not May, which is a verb as well
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Case:
    """One behavioural test.

    Args:
        kind: one of `KINDS`.
        capability: what it tests.
        sentence: the sentence.
        label: the label that must be found, or whose probability must rise.
        variant: the edited sentence; None where the label alone is tested.
    """

    kind: str
    capability: str
    sentence: Sentence
    label: str | None = None
    variant: Sentence | None = None


def read_cases(folder: Path, task: TaskSpec) -> list[Case]:
    """Read hand-written cases: a JSONL file for each of `KINDS`, a case a line.

    Args:
        folder: where the files are.
        task: the model's labels.

    Returns:
        The cases; an empty list, and a line of log, if every case belongs to another task.

    Raises:
        DataError: if there are none, or a case is not whole; lists the bad lines of all files.
    """
    files = [folder / f"{kind}.jsonl" for kind in KINDS if (folder / f"{kind}.jsonl").is_file()]
    if not files:
        raise DataError(f"{folder} holds no behavioural tests ({', '.join(f'{kind}.jsonl' for kind in KINDS)})")
    rows = [(file, row) for file in files for row in read_file(file)]
    used = {
        str(row.values[name])
        for _, row in rows
        if isinstance(row, Row)
        for name in ("label", "toward")
        if name in row.values
    }
    if used and not used & set(task.labels):
        log.info("the behavioural tests of %s are of other labels than the model: not run", folder)
        return []
    cases: list[Case] = []
    bad: list[tuple[Path, BadRow]] = []
    for file, row in rows:
        if isinstance(row, Row) and (reason := why_unfit(row.values, _fields(file.stem, task))):
            row = BadRow(row.line, reason, row.values)
        if isinstance(row, BadRow):
            bad.append((file, row))
        else:
            cases.append(_case(file.stem, row.values))
    if bad:
        raise DataError.of_rows(bad)
    return cases


def _fields(kind: str, task: TaskSpec) -> dict[str, Field]:
    """What the cases of a kind must hold."""
    label = Field(one_of=task.labels)
    special = {name: label if name in ("label", "toward") else Field(may_be_blank=False) for name in KINDS[kind]}
    text = Field(may_be_blank=False)
    return {"capability": text, "text": text, "context": Field(required=False), **special}


def _case(kind: str, values: dict[str, str]) -> Case:
    context = values.get("context", "")
    variant = Sentence(values["variant"], context) if "variant" in values else None
    label = values.get("label", values.get("toward"))
    return Case(kind, values["capability"], Sentence(values["text"], context), label, variant)


def make_invariance_cases(sentences: Sequence[Sentence], *, seed: int) -> list[Case]:
    """Make pairs of labelled sentences and edits that leave the stance as it is, at most 50 for each kind of edit.

    Args:
        sentences: what they are made of.
        seed: governs which are taken, and what is put in.
    """
    edits: dict[str, Callable[[str, np.random.Generator], str]] = {
        "other people": _other_people,
        "other countries": _other_countries,
        "other dates and numbers": _other_numbers,
        "a typing error": _typing_error,
        "lower case": lambda text, _: text.lower(),
        "other quotation marks": lambda text, _: _other_quotes(text),
    }
    cases = []
    for number, (capability, edit) in enumerate(edits.items()):
        rng = np.random.default_rng((seed, number))
        made = 0
        for i in rng.permutation(len(sentences)):
            sentence = sentences[i]
            edited = edit(sentence.text, rng)
            if edited == sentence.text:
                continue
            cases.append(Case("invariance", capability, sentence, variant=Sentence(edited, sentence.context)))
            made += 1
            if made == MADE_PER_CAPABILITY:
                break
    return cases


def _other_people(text: str, rng: np.random.Generator) -> str:
    for name in sorted(set(TITLED.findall(text))):
        text = re.sub(rf"\b{name}\b", rng.choice(SURNAMES), text)
    return text


def _other_countries(text: str, rng: np.random.Generator) -> str:
    found = [country for country in COUNTRIES if re.search(rf"\b{country}\b", text)]
    others = rng.permutation([country for country in COUNTRIES if country not in found])
    exchange = dict(zip(found, others, strict=False))
    return re.sub(r"\b[A-Z][a-z]+\b", lambda word: exchange.get(word.group(), word.group()), text)


def _other_numbers(text: str, rng: np.random.Generator) -> str:
    def other(match: re.Match[str]) -> str:
        word = match.group()
        if word.isdigit():
            # Years stay years, and numbers keep their length.
            return f"{int(word) // 10}{(int(word) % 10 + int(rng.integers(1, 10))) % 10}"
        group = next(group for group in (DAYS, MONTHS, NUMBERS) if word in group)
        return str(rng.choice([w for w in group if w != word]))

    return re.sub(rf"\b(?:[1-9]\d{{1,3}}|{'|'.join((*DAYS, *MONTHS, *NUMBERS))})\b", other, text)


def _typing_error(text: str, rng: np.random.Generator) -> str:
    """Two neighbouring letters of a long word change places."""
    words = list(re.finditer(r"[a-z]{7,}", text))
    if not words:
        return text
    word = words[rng.integers(len(words))]
    places = [i for i in range(word.start() + 1, word.end() - 2) if text[i] != text[i + 1]]
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def _other_quotes(text: str) -> str:
    straight = text.translate(str.maketrans("“”‘’", "\"\"''"))
    return straight if straight != text else re.sub(r'"([^"]*)"', r"“\1”", text).replace("'", "’")


def run_cases(model: StanceModel, cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Run behavioural tests.

    Args:
        model: the model.
        cases: the tests.

    Returns:
        By capability: `kind`, the number of `cases`, the `passed`, their share `pass_rate`, and the `failures`, each
        with `text`, `context`, `variant`, `expected` and what was `found`.
    """
    labels = model.task.labels
    original = model.predict_proba([case.sentence for case in cases], progress=True)
    edited = iter(model.predict_proba([case.variant for case in cases if case.variant], progress=True))
    results: dict[str, dict[str, Any]] = {}
    for case, before in zip(cases, original, strict=True):
        after = next(edited) if case.variant else before
        first, second = labels[before.argmax()], labels[after.argmax()]
        if KINDS[case.kind] == ("label",):
            passed, expected, found = first == case.label, str(case.label), first
        elif case.kind == "invariance":
            passed, expected, found = first == second, first, second
        else:
            column = labels.index(str(case.label))
            passed = bool(after[column] > before[column])
            expected = f"{case.label} more probable"
            found = f"{before[column]:.3f}, then {after[column]:.3f}"
        result = results.setdefault(case.capability, {"kind": case.kind, "cases": 0, "passed": 0, "failures": []})
        result["cases"] += 1
        result["passed"] += passed
        if not passed:
            result["failures"].append(
                {
                    "text": case.sentence.text,
                    "context": case.sentence.context,
                    "variant": case.variant.text if case.variant else None,
                    "expected": expected,
                    "found": found,
                }
            )
    return {
        capability: {**result, "pass_rate": result["passed"] / result["cases"]}
        for capability, result in results.items()
    }
