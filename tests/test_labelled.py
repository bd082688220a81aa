import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stance.data.corpus import read_corpus, split_corpus
from stance.data.labelled import LabelledData, load_files, pick_split
from stance.data.parts import load_parts
from stance.data.rows import DataError
from stance.data.splits import read_splits
from stance.schema import LABELS, Sentence, StanceError, TaskSpec

REPOSITORY = Path(__file__).parents[1]
TASK = TaskSpec()
CORPUS = {"corpus_dir": REPOSITORY / "data/corpus", "splits": REPOSITORY / "data/splits.json"}
Rows = Sequence[Mapping[str, Any]]


def write(file: Path, rows: Rows) -> Path:
    if file.suffix == ".csv":
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def documents(count: int, each: int = 2) -> list[dict[str, Any]]:
    return [
        {"doc": f"d{i}", "text": f"Sentence {j} of {i}.", "label": LABELS[(i + j) % 4]}
        for i in range(count)
        for j in range(each)
    ]


def load(seed: int = 1, task: TaskSpec = TASK, **files: Path | None) -> dict[str, LabelledData]:
    return load_files(files, task, seed=seed)


def load_rows(tmp_path: Path, rows: Rows, **options: Any) -> LabelledData:
    file = write(tmp_path / "rows.jsonl", rows)
    return load_files({"test": file}, options.pop("task", TASK), seed=1, **options)["test"]


ROW = {"text": "Lift it.", "label": "for"}


def test_each_named_file_becomes_its_split(tmp_path: Path) -> None:
    files = {
        split: write(tmp_path / f"{split}.{suffix}", [{"doc": split, "text": split, "label": "for"}])
        for split, suffix in (("train", "csv"), ("validation", "jsonl"), ("test", "ndjson"))
    }
    dataset = load(**files)
    assert {split: part.column("text") for split, part in dataset.items()} == {split: [split] for split in files}


def test_bad_rows_of_all_files_are_reported_together(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_bytes(b"text,label\nfine,for\nodd,pro\n  ,for\ncaf\xe9,for\nwide,for,1\n")
    lines = tmp_path / "test.jsonl"
    lines.write_text('{"text": "fine", "label": "for"}\n{"text": 5, "label": "for"}\n{"text": \n[]\n', encoding="utf-8")
    with pytest.raises(DataError) as error:
        load(train=table, validation=None, test=lines)
    head, *listed = str(error.value).splitlines()
    assert head.startswith("7 bad rows")
    assert listed[:6] == [
        f"{table}:3: 'label' is 'pro', not one of for, against, conditional, none",
        f"{table}:4: 'text' is blank",
        f"{table}:5: not UTF-8",
        f"{table}:6: 3 values for 2 columns",
        f"{lines}:2: 'text' must be a string, not int",
        f"{lines}:3: not JSON: Expecting value: line 1 column 10 (char 9)",
    ]
    assert listed[6] == f"{lines}:4: not a JSON object but list"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": ""}, "'text' is blank"),
        ({"text": "\u2003\n"}, "'text' is blank"),
        ({"text": None}, "'text' is empty"),
        ({"text": ["a"]}, "'text' must be a string, not list"),
        ({"label": "For"}, "'label' is 'For', not one of for, against, conditional, none"),
        ({"label": ""}, "'label' is '', not one of"),
        ({"label": None}, "'label' is empty"),
        ({"label": ["for"]}, "'label' must be a string, not list"),
        ({"label": 0}, "'label' must be a string, not int"),
        ({"label_2": "pro"}, "'label_2' is 'pro', not one of"),
        ({"doc": 7}, "'doc' must be a string, not int"),
        ({"context": False}, "'context' must be a string, not bool"),
        ({"holder": {}}, "'holder' must be a string, not dict"),
        ({"sent": "first"}, "'sent' must be a whole number, not 'first'"),
        ({"start": -1}, "'start' must be a whole number, not -1"),
        ({"end": 1.5}, "'end' must be a whole number, not 1.5"),
        ({"end": True}, "'end' must be a whole number, not True"),
        ({"end": 10**12}, "'end' must be a whole number"),
    ],
)
def test_a_bad_value_is_told_by_column(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=rf"rows\.jsonl:2: {reason}"):
        load_rows(tmp_path, [ROW, ROW | change])


@pytest.mark.parametrize("missing", ["text", "label"])
def test_a_missing_column_is_told_with_those_there_are(tmp_path: Path, missing: str) -> None:
    row = {name: value for name, value in {"id": "1", **ROW}.items() if name != missing}
    with pytest.raises(DataError) as error:
        load_rows(tmp_path, [row])
    assert f"no column {missing!r} (there are 'id'" in str(error.value)


def test_a_column_named_by_the_user_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'stance' \(there are 'label', 'text'\)"):
        load_rows(tmp_path, [ROW], label_column="stance")


def test_text_and_label_columns_can_be_named(tmp_path: Path) -> None:
    dataset = load_rows(
        tmp_path, [{"sentence": "Lift it.", "stance": "for"}], text_column="sentence", label_column="stance"
    )
    assert (dataset.column("text"), dataset.labels) == (["Lift it."], ["for"])
    assert not {"sentence", "stance"} & set(dataset.columns)


def test_a_task_brings_its_own_labels(tmp_path: Path) -> None:
    task = TaskSpec(labels=("pro", "con", "other"), stance_labels=("pro", "con"))
    dataset = load_rows(tmp_path, [{"text": "a", "label": "con"}], task=task)
    assert dataset.task == task
    assert dataset.labels == ["con"]
    assert dataset.label_numbers.tolist() == [1]
    with pytest.raises(DataError, match="'label' is 'for', not one of pro, con, other"):
        load_rows(tmp_path, [ROW], task=task)


def test_no_file_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no labelled file was named; give data\.train=FILE"):
        load(train=None, test=None)


@pytest.mark.parametrize(("name", "content"), [("rows.csv", "text,label\n"), ("rows.jsonl", "\n")])
def test_a_file_without_rows_is_an_error(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=f"{name} holds no rows"):
        load(test=tmp_path / name)


def test_a_validation_part_of_a_tenth_is_set_aside_by_document(tmp_path: Path) -> None:
    rows = documents(40)
    dataset = load(train=write(tmp_path / "rows.jsonl", rows))
    train, validation = (set(dataset[split].documents) for split in ("train", "validation"))
    assert not train & validation
    assert train | validation == {row["doc"] for row in rows}
    assert len(validation) == 4


def test_the_same_seed_sets_the_same_part_aside(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", documents(40))
    parts = [load(seed, train=file)["validation"].documents for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]


def test_a_validation_file_is_used_as_it_is(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", documents(10))
    validation = write(tmp_path / "validation.jsonl", [{"doc": "other", **ROW}])
    dataset = load(train=train, validation=validation)
    assert {split: len(part) for split, part in dataset.items()} == {"train": 20, "validation": 1}


def test_a_test_file_alone_sets_nothing_aside(tmp_path: Path) -> None:
    assert list(load(test=write(tmp_path / "rows.jsonl", documents(10)))) == ["test"]


def test_rows_without_a_document_are_documents_of_their_own(tmp_path: Path) -> None:
    dataset = load_rows(tmp_path, [ROW, ROW | {"doc": ""}, ROW | {"doc": None}, ROW | {"doc": "d"}])
    assert len(set(dataset.documents)) == 4


def test_a_validation_part_is_set_aside_without_a_document_column(tmp_path: Path) -> None:
    rows = [{"text": f"Sentence {i}.", "label": LABELS[i % 4]} for i in range(40)]
    dataset = load(train=write(tmp_path / "rows.csv", rows))
    assert sorted([*dataset["train"].column("text"), *dataset["validation"].column("text")]) == sorted(
        row["text"] for row in rows
    )
    assert len(dataset["validation"]) == 4


@pytest.mark.parametrize("rows", [documents(1, each=8), [ROW]], ids=["one document", "one row"])
def test_too_little_to_set_a_part_aside_is_an_error(tmp_path: Path, rows: Rows) -> None:
    with pytest.raises(DataError, match=r"too small to set a validation part aside .*give data\.validation=FILE"):
        load(train=write(tmp_path / "rows.jsonl", rows))


@pytest.mark.filterwarnings("ignore:The least populated class")
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(LABELS)), min_size=2, max_size=30))
def test_however_small_the_file_both_parts_hold_whole_documents(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    assume(len({doc for doc, _ in pairs}) > 1 and len({label for _, label in pairs}) < len(pairs))
    rows = [{"doc": doc, "text": "a", "label": label} for doc, label in pairs]
    dataset = load(train=write(tmp_path_factory.mktemp("any") / "rows.jsonl", rows))
    train, validation = (dataset[split].documents for split in ("train", "validation"))
    assert train
    assert validation
    assert not set(train) & set(validation)
    assert sorted([*train, *validation]) == sorted(doc for doc, _ in pairs)


@pytest.mark.parametrize(("one", "other"), [("train", "test"), ("validation", "test"), ("train", "validation")])
def test_a_document_in_two_files_is_refused(tmp_path: Path, one: str, other: str) -> None:
    shared = {"doc": "shared", **ROW}
    train = documents(10) if one == "train" else []
    files = {one: write(tmp_path / "one.jsonl", [*train, shared]), other: write(tmp_path / "other.jsonl", [shared])}
    with pytest.raises(DataError, match=f"document 'shared' is in both {one} and {other}"):
        load(**files)


def test_the_same_file_twice_is_refused_also_without_documents(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [ROW])
    with pytest.raises(DataError, match="named for both validation and test"):
        load(validation=file, test=file)


def test_labels_are_numbered_in_the_order_of_the_task(tmp_path: Path) -> None:
    data = load_rows(tmp_path, [ROW | {"label": label} for label in reversed(LABELS)])
    assert data.labels == list(reversed(LABELS))
    assert data.label_numbers.tolist() == [3, 2, 1, 0]


def test_a_second_label_may_be_missing(tmp_path: Path) -> None:
    data = load_rows(tmp_path, [ROW | {"label_2": "none"}, ROW | {"label_2": ""}, ROW])
    assert data.column("label_2") == ["none", "", ""]


def test_other_columns_are_kept_as_text(tmp_path: Path) -> None:
    data = load_rows(tmp_path, [ROW | {"year": 2011, "tags": ["é"], "source": "UN"}, ROW])
    assert data.rows[0] == {**data.rows[0], "year": "2011", "tags": '["é"]', "source": "UN"}
    assert data.rows[1] == {**data.rows[1], "year": "", "tags": "", "source": ""}


@pytest.mark.parametrize("value", ["3", 3])
def test_offsets_are_numbers_where_they_are_known(tmp_path: Path, value: object) -> None:
    data = load_rows(tmp_path, [ROW | {"start": value}, ROW | {"start": ""}, ROW])
    assert data.column("start") == [3, -1, -1]


@pytest.mark.parametrize("values", [(True, False), (True, None), (False, False), (False, None)])
def test_a_column_of_truth_values_is_boolean(tmp_path: Path, values: tuple[bool | None, ...]) -> None:
    data = load_rows(tmp_path, [ROW | {"mixed": value} for value in values])
    assert data.column("mixed") == [bool(value) for value in values]


@pytest.mark.parametrize("values", [(True, "yes"), (None, None), (1, 0)])
def test_a_column_of_other_values_is_text(tmp_path: Path, values: tuple[object, ...]) -> None:
    data = load_rows(tmp_path, [ROW | {"mixed": value} for value in values])
    assert {type(value) for value in data.column("mixed")} == {str}


def test_slices_are_columns_of_few_values() -> None:
    rows = [
        {"text": "word " * (i + 1), "label": "for", "doc": "d", "register": "ab"[i % 2], "id": str(i), "late": i > 9}
        for i in range(120)
    ]
    slices = LabelledData.of(rows, TASK).slices
    assert set(slices) == {"sentence length", "register", "late"}
    assert slices["late"][9:11] == ["no", "yes"]
    assert slices["sentence length"][9:11] == ["01-10 words", "11-20 words"]
    assert set(slices["sentence length"][40:]) == {"41+ words"}


def test_sentences_carry_their_context_and_document(tmp_path: Path) -> None:
    data = load_rows(tmp_path, [ROW | {"doc": "d", "context": "Before."}, ROW | {"doc": "d"}])
    assert data.sentences == [Sentence("Lift it.", "Before.", "d"), Sentence("Lift it.", "", "d")]


def test_sentences_of_a_file_without_context_have_none(tmp_path: Path) -> None:
    assert [s.context for s in load_rows(tmp_path, [ROW, ROW]).sentences] == ["", ""]


def test_a_split_that_is_not_there_is_told_with_those_there_are(tmp_path: Path) -> None:
    dataset = load(test=write(tmp_path / "rows.jsonl", [ROW]))
    assert pick_split(dataset, "test") is dataset["test"]
    with pytest.raises(DataError, match="there is no split 'train' in these data, only test"):
        pick_split(dataset, "train")


def test_the_fingerprint_depends_on_neither_place_nor_format(tmp_path: Path) -> None:
    rows = documents(3)
    (tmp_path / "elsewhere").mkdir()
    files = [write(tmp_path / name, rows) for name in ("a.csv", "b.jsonl", "elsewhere/c.ndjson")]
    assert len({load(test=file)["test"].fingerprint for file in files}) == 1


def fingerprint_of(rows: list[dict[str, str]]) -> str:
    return LabelledData.of(rows, TASK).fingerprint


@pytest.mark.parametrize("change", [{"label": "none"}, {"text": "Lift them."}, {"doc": "other"}])
def test_the_fingerprint_changes_with_the_data(change: dict[str, str]) -> None:
    rows = [{"doc": "d", **ROW}, {"doc": "e", **ROW}]
    assert fingerprint_of(rows) != fingerprint_of([rows[0], rows[1] | change])


def test_punctuation_and_white_space_leave_the_fingerprint_as_it_is() -> None:
    rows = [{"doc": "d", **ROW}, {"doc": "e", **ROW}]
    assert fingerprint_of(rows) == fingerprint_of([rows[0], rows[1] | {"text": " LIFT – it!"}])


def test_the_fingerprint_changes_with_the_order() -> None:
    rows = documents(2)
    assert fingerprint_of(rows) != fingerprint_of(rows[::-1])


@pytest.fixture(scope="module")
def corpus() -> dict[str, LabelledData]:
    return load_parts(["corpus"], TASK, **CORPUS)


@pytest.fixture(scope="module")
def corpus_rows() -> list[dict[str, Any]]:
    return read_corpus(REPOSITORY / "data/corpus", TASK)


def test_the_corpus_has_all_its_rows_in_three_splits(corpus: dict[str, LabelledData]) -> None:
    assert list(corpus) == ["train", "validation", "test"]
    assert sum(len(part) for part in corpus.values()) == 27_958


def test_the_splits_of_the_corpus_share_no_document_and_all_columns(corpus: dict[str, LabelledData]) -> None:
    docs = {split: set(part.documents) for split, part in corpus.items()}
    assert len(set.union(*docs.values())) == sum(map(len, docs.values()))
    assert len({tuple(part.columns) for part in corpus.values()}) == 1


def test_every_split_of_the_corpus_has_every_label(corpus: dict[str, LabelledData]) -> None:
    assert all(set(part.labels) == set(LABELS) for part in corpus.values())


def test_a_part_of_the_training_documents_leaves_validation_and_test_whole(corpus: dict[str, LabelledData]) -> None:
    def part(share: float, seed: int) -> dict[str, LabelledData]:
        return load_parts(["corpus"], TASK, **CORPUS, train_part=share, seed=seed)

    half = part(0.5, 1)
    whole_docs, half_docs = set(corpus["train"].documents), set(half["train"].documents)
    assert half_docs < whole_docs
    assert len(half_docs) == -(-len(whole_docs) // 2)
    for split in ("validation", "test"):
        assert half[split].fingerprint == corpus[split].fingerprint
    assert half["train"].fingerprint == part(0.5, 1)["train"].fingerprint
    assert set(part(0.5, 2)["train"].documents) != half_docs
    # A smaller part is within a larger one: a learning curve adds documents and exchanges none.
    assert set(part(0.25, 1)["train"].documents) < half_docs


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_part_that_is_none_is_told(share: float) -> None:
    with pytest.raises(DataError, match=r"data.train_part must be above 0 and at most 1"):
        split_corpus(REPOSITORY / "data/corpus", REPOSITORY / "data/splits.json", TASK, train_part=share)


def test_contrast_sets_have_no_context(corpus_rows: list[dict[str, Any]]) -> None:
    contexts = [row["context"] for row in corpus_rows if row["file"] == "contrast_sets"]
    assert contexts
    assert set(contexts) == {""}


def test_context_is_the_sentences_before_in_the_document(corpus_rows: list[dict[str, Any]]) -> None:
    before: dict[str, list[str]] = {}
    for row in corpus_rows:
        if row["file"] != "contrast_sets":
            assert row["context"] == "\n".join(before.setdefault(row["doc"], []))
            before[row["doc"]].append(row["text"])
    assert max(map(len, before.values())) > 2


def make_corpus(tmp_path: Path, rows: Rows, splits: object) -> tuple[Path, Path]:
    folder = tmp_path / "corpus"
    folder.mkdir()
    write(folder / "part.jsonl", rows)
    file = tmp_path / "splits.json"
    file.write_text(splits if isinstance(splits, str) else json.dumps(splits), encoding="utf-8")
    return folder, file


def test_a_document_without_a_split_is_told(tmp_path: Path) -> None:
    folder, file = make_corpus(tmp_path, documents(2), {"train": ["d0"], "validation": [], "test": []})
    with pytest.raises(DataError, match=r"differ in 1 document\(s\), such as d1: run `stance data split`"):
        split_corpus(folder, file, TASK)


def test_a_folder_without_a_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"there is no corpus in {tmp_path}: .* data.corpus_dir=DIR"):
        read_corpus(tmp_path, TASK)


def test_bad_rows_of_all_corpus_files_are_reported_together(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"doc": "d", **ROW, "label": "pro"}])
    write(tmp_path / "b.jsonl", [{"doc": "e", **ROW, "text": ""}])
    with pytest.raises(DataError, match=r"(?s)2 bad rows.*a\.jsonl:1: 'label'.*b\.jsonl:1: 'text' is blank"):
        read_corpus(tmp_path, TASK)


@pytest.mark.parametrize("doc", [{}, {"doc": None}], ids=["absent", "null"])
def test_a_corpus_row_without_a_document_is_a_bad_row(tmp_path: Path, doc: dict[str, None]) -> None:
    write(tmp_path / "a.jsonl", [ROW | doc])
    with pytest.raises(DataError, match=r"a\.jsonl:1: .*'doc'"):
        read_corpus(tmp_path, TASK)


@pytest.mark.parametrize("content", ["{", "[]", '{"train": []}', '{"train": 1, "validation": 1, "test": 1}', "\ud800"])
def test_a_splits_file_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "splits.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"splits\.json does not list the documents of train, validation, test"):
        read_splits(file, {"a"})


def test_a_missing_splits_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"splits\.json cannot be read .*: run `stance data split`"):
        read_splits(tmp_path / "splits.json", {"a"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskSpec(labels=("a",), stance_labels=("a",)), "at least two labels, not .'a'."),
        (lambda: TaskSpec(labels=(), stance_labels=()), "at least two labels"),
        (lambda: TaskSpec(labels=("a", "b", "a"), stance_labels=("a",)), "task.labels names a label twice"),
        (lambda: TaskSpec(labels=("a", "b"), stance_labels=("a", "a")), "task.stance_labels names a label twice"),
        (lambda: TaskSpec(labels=("a", "b"), stance_labels=("c",)), r"one or more of task.labels \['a', 'b'\]"),
        (lambda: TaskSpec(labels=("a", "b"), stance_labels=()), "must be one or more of task.labels"),
    ],
)
def test_labels_that_make_no_task_are_told(make: Callable[[], TaskSpec], message: str) -> None:
    with pytest.raises(StanceError, match=message):
        make()


def test_a_task_takes_lists_and_keeps_their_order() -> None:
    task = TaskSpec(labels=["b", "a"], stance_labels=["a"])  # type: ignore[arg-type]
    assert (task.labels, task.stance_labels) == (("b", "a"), ("a",))
    assert hash(task) == hash(TaskSpec(("b", "a"), ("a",)))
