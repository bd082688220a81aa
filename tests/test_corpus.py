"""What the committed data must fulfil."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest
from conftest import tiny_rows, write_jsonl

from stance.audit import audit, duplicates_across_splits, kappas, suspicious_labels
from stance.data.corpus import SPLITS, read_corpus, read_splits
from stance.data.duplicates import find_duplicates, find_shared_runs
from stance.data.rows import DataError
from stance.data.splits import make_splits, write_splits
from stance.schema import LABELS, TaskSpec

FOLDER, SPLITS_FILE = Path("data/corpus"), Path("data/splits.json")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return read_corpus(FOLDER, TaskSpec())


@pytest.fixture(scope="module")
def split_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    return read_splits(SPLITS_FILE, {row["doc"] for row in rows})


def test_labels_are_valid(rows: list[dict[str, Any]]) -> None:
    assert {row["label"] for row in rows} | {row["label_2"] for row in rows} == set(LABELS)


def test_a_stance_has_a_holder_and_none_has_none(rows: list[dict[str, Any]]) -> None:
    assert [row["text"] for row in rows if bool(row["holder"]) != (row["label"] != "none")] == []


def test_two_annotators_agree(rows: list[dict[str, Any]]) -> None:
    found = kappas(rows)
    assert found["all invented files"] > 0.975
    assert found["all retold files"] > 0.80
    least = {"retold": 0.75, "invented": 0.95}
    origin = {row["file"]: row["origin"] for row in rows}
    assert {file: kappa for file, kappa in found.items() if kappa < least[origin.get(file, "retold")]} == {}


def test_the_files_can_be_loaded_together_by_datasets(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    found = datasets.load_dataset("json", data_files=str(FOLDER / "*.jsonl"), cache_dir=str(tmp_path))["train"]
    assert len(found) == len(rows)
    assert set(found.column_names) == {
        *("doc", "sent", "text", "label", "label_1", "label_2", "holder", "embargo", "register", "mixed", "implicit")
    }


def test_no_duplicate_across_splits(rows: list[dict[str, Any]], split_of: dict[str, str]) -> None:
    assert duplicates_across_splits(rows, split_of) == []


def test_a_duplicate_across_splits_would_be_found(rows: list[dict[str, Any]], split_of: dict[str, str]) -> None:
    train = next(r for r in rows if split_of[r["doc"]] == "train" and len(r["text"].split()) > 10)
    test_doc = next(r["doc"] for r in rows if split_of[r["doc"]] == "test")
    copied = [train, {**train, "doc": test_doc, "text": train["text"].upper() + " "}]
    assert len(duplicates_across_splits(copied, split_of)) == 1
    reworded = [train, {**train, "doc": test_doc, "text": "Indeed: " + train["text"]}]
    assert len(duplicates_across_splits(reworded, split_of)) == 1


def test_no_test_sentence_shares_a_run_of_twelve_words_with_train(
    rows: list[dict[str, Any]], split_of: dict[str, str]
) -> None:
    splits = [split_of[row["doc"]] for row in rows]
    assert [(i, j) for i, j in find_shared_runs([row["text"] for row in rows]) if splits[i] != splits[j]] == []


def test_the_splits_follow_from_the_old_ones_and_the_new_documents(
    rows: list[dict[str, Any]], split_of: dict[str, str], tmp_path: Path
) -> None:
    old = {doc: split for doc, split in split_of.items() if not doc.startswith("retold_")}
    assert len(old) == 1304
    write_splits(make_splits(rows, old), tmp_path / "splits.json")
    assert (tmp_path / "splits.json").read_bytes() == SPLITS_FILE.read_bytes()


def test_linked_documents_stay_together_and_in_train_if_they_were_apart() -> None:
    run = "one two three four five six seven eight nine ten eleven twelve"
    texts = {
        **{f"doc{i:02}": f"Sentence {'abcdefghij'[i % 10] * (3 * i + 3)}." for i in range(40)},
        "kept-test": f"A {run} in a test document, with other words behind it.",
        "follows": f"They said {run.upper()}!",
        "moves": "This sentence stands in a document of the validation split.",
        "kept-train": "This sentence stands in a document of the validation split!",
    }
    rows = [{"doc": doc, "text": text, "label": "for", "file": "a"} for doc, text in texts.items()]
    kept = {"kept-test": "test", "moves": "validation", "kept-train": "train", "gone": "test"}
    splits = make_splits(rows, kept)
    split_of = {doc: split for split, documents in splits.items() for doc in documents}
    assert set(split_of) == set(texts)
    assert split_of["follows"] == "test"
    assert split_of["moves"] == split_of["kept-train"] == "train"
    assert {split: len(documents) for split, documents in make_splits(rows[:40]).items()} == {
        "train": 28,
        "validation": 4,
        "test": 8,
    }


def test_shared_runs_ignore_case_and_punctuation() -> None:
    texts = ["a b, c d", "x", "A B C. D e", "b c d f", "a b c"]
    assert find_shared_runs(texts, words=3) == [(0, 2), (0, 3), (0, 4)]
    assert find_shared_runs(texts, words=4) == [(0, 2)]


def test_the_splits_are_in_proportion(rows: list[dict[str, Any]], split_of: dict[str, str]) -> None:
    wanted = {"train": 0.7, "validation": 0.1, "test": 0.2}
    # Files' shares are a little off, as documents that shared runs of words with train moved there.
    for key, tolerance in (("file", 0.1), ("label", 0.04)):
        totals = Counter(row[key] for row in rows)
        counts = Counter((row[key], split_of[row["doc"]]) for row in rows)
        for value, total in totals.items():
            for split in SPLITS:
                assert counts[value, split] / total == pytest.approx(wanted[split], abs=tolerance), (value, split)


def test_splits_of_another_corpus_are_refused(rows: list[dict[str, Any]]) -> None:
    documents = {row["doc"] for row in rows} - {"opinion-001"}
    with pytest.raises(DataError, match=r"differ in 1 document.*opinion-001"):
        read_splits(SPLITS_FILE, documents)


def test_article_labels_hold_no_text() -> None:
    allowed = {"file", "sha256", "sent", "start", "end", "label", "label_1", "label_2", "holder"}
    lines = Path("data/articles/labels.jsonl").read_text().splitlines()
    assert len(lines) == 130
    assert {key for line in lines for key in json.loads(line)} <= allowed


def test_find_duplicates_against_all_pairs() -> None:
    from rapidfuzz.distance import Indel

    texts = ["The embargo stays.", "the  embargo stays.", "The embargo stayed.", "Lift it now!", "", "Lift it, now!"]
    folded = [" ".join(t.casefold().split()) for t in texts]
    expected = [
        (i, j)
        for i in range(len(texts))
        for j in range(i + 1, len(texts))
        if Indel.normalized_similarity(folded[i], folded[j]) >= 0.9
    ]
    assert [(i, j) for i, j, _ in find_duplicates(texts)] == expected
    assert expected == [(0, 1), (0, 2), (1, 2), (3, 5)]


def test_a_wrong_label_is_suspicious(tmp_path: Path) -> None:
    rows = [{**row, "doc": f"{row['doc']}-{i}", "label_2": row["label"]} for i in range(4) for row in tiny_rows()]
    wrong = next(row for row in rows if row["label"] == "none")
    wrong["label"] = "for"
    write_jsonl(tmp_path / "tiny.jsonl", rows)
    documents = sorted({row["doc"] for row in rows})
    splits = {"train": documents[1:], "validation": documents[:1], "test": []}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    table = suspicious_labels(tmp_path, tmp_path / "splits.json")
    assert f"1 of {len(rows)}" in table
    assert f"| {wrong['doc']} |" in table


def test_the_audit_has_all_its_parts() -> None:
    text = "\n".join(audit(FOLDER, SPLITS_FILE))
    for heading in ("Counts", "Agreement", "Sentence length", "N-grams", "Duplicates"):
        assert f"## {heading}" in text
    assert "| **all** | train |" in text
    assert "| all invented files | 0.98" in text
    assert "| all retold files | 0.81" in text
    assert "| exact | 0 | 0 |" not in text
    assert "| near | " in text


def test_a_tiny_corpus_without_second_labels_can_be_audited(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "tiny.jsonl", [{"doc": "a", "text": "Lift it.", "label": "for"}])
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["a"], "validation": [], "test": []}))
    assert "| tiny | train | 1 | 0 | 0 | 0 | 1 |" in "\n".join(audit(tmp_path, tmp_path / "splits.json"))
