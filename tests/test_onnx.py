"""Serving a trained transformer: what it reads, that it needs no torch, and that it is steady."""

import json
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from conftest import COUNTRIES, PHRASES
from packaging.requirements import Requirement
from tokenizers import Tokenizer

import stance
from stance import load, predict
from stance.cli import main
from stance.models.transformer.kind import KIND
from stance.models.transformer.serve import Inputs, InputSettings, OnnxModel
from stance.schema import Sentence, TruncationWarning

TEXTS = [f"{country} {phrase}." for country in COUNTRIES for phrase in PHRASES.values()]
LONG = "Egypt met the envoy to talk about oil exports and schools " * 10


def inputs(folder: Path, context: int = 2, max_length: int = 32) -> Inputs:
    return Inputs(Tokenizer.from_file(str(folder / "tokenizer.json")), InputSettings(context, max_length))


def words(inputs: Inputs, *sentences: Sentence) -> list[str]:
    return [
        " | ".join(inputs.tokenizer.decode(unit.ids) for unit in window.units) for window in inputs.windows(sentences)
    ]


def article(*texts: str) -> list[Sentence]:
    lines = [" ".join(text.split()) for text in texts]
    return [Sentence(text, "\n".join(lines[:i])) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("context", "read"), [(0, "egypt met spain"), (1, "oil met | envoy met | chad met | egypt met spain")]
)
def test_the_context_comes_first_if_the_model_reads_any(tiny_encoder: Path, context: int, read: str) -> None:
    sentence = Sentence("Egypt met\nSpain", "oil met\nenvoy met\n\nchad  met\n")
    assert words(inputs(tiny_encoder, context), sentence) == [read]


def test_sentences_in_a_row_share_a_window(tiny_encoder: Path) -> None:
    items = article("egypt met spain", "chad  met\nspain", "malta", "oil met envoy")
    reader = inputs(tiny_encoder, max_length=64)
    assert words(reader, *items) == ["egypt met spain | chad met spain | malta | oil met envoy"]
    assert [window.rows for window in reader.windows(items)] == [[0, 1, 2, 3]]
    # What does not follow one another does not.
    assert words(reader, items[0], items[2]) == ["egypt met spain", "egypt met spain | chad met spain | malta"]
    assert words(reader, items[0], items[0]) == ["egypt met spain"] * 2
    assert [len(window.rows) for window in inputs(tiny_encoder, 0).windows(items)] == [1, 1, 1, 1]


def test_a_window_that_is_full_is_followed_by_one_with_context(tiny_encoder: Path) -> None:
    items = article("egypt met spain", "chad met spain", "malta", "oil met envoy")
    reader = inputs(tiny_encoder, max_length=12)
    assert words(reader, *items) == [
        "egypt met spain | chad met spain",
        "met spain | chad met spain | malta",
        "met spain | malta | oil met envoy",
    ]
    windows = reader.windows(items)
    assert [(window.first, window.rows) for window in windows] == [(0, [0, 1]), (2, [2]), (2, [3])]
    assert max(window.length for window in windows) == 12


def test_a_window_depends_on_the_sentence_and_its_context_only(tiny_encoder: Path) -> None:
    texts = [" ".join(["egypt", "met", "spain", "oil", "envoy", "chad"][: 1 + i * i % 6]) for i in range(40)]
    texts[7] = texts[7].replace(" ", "\n ")
    items = article(*texts)
    reader = inputs(tiny_encoder)
    shared = reader.windows(items)
    assert 1 < len(shared) < 20
    for window in shared:
        for number, row in enumerate(window.rows, window.first):
            (alone,) = reader.windows([items[row]])
            assert (alone.units, alone.rows) == (window.units[: number + 1], [0])
    # Of a document that begins elsewhere, the windows are others.
    assert reader.windows(article(*texts[1:])) != shared


def test_a_context_that_no_sentence_is_read_with_takes_no_window(tiny_encoder: Path) -> None:
    last = article(*["egypt met spain"] * 30)[-1]
    (window,) = inputs(tiny_encoder, max_length=20).windows([last])
    assert (len(window.rows), window.length) == (1, 20)


def test_the_context_is_cut_and_never_the_sentence(tiny_encoder: Path) -> None:
    reader = inputs(tiny_encoder, max_length=10)
    assert words(reader, Sentence("egypt met spain", "oil exports and schools")) == [
        "exports and schools | egypt met spain"
    ]
    whole = Sentence("egypt met spain to talk about", "oil")
    assert words(reader, whole) == ["egypt met spain to talk about"]
    (window,) = reader.windows([Sentence(LONG, "oil")])
    assert (window.length, window.units[0].cut) == (10, True)
    assert reader.tokenizer.id_to_token(window.units[0].ids[-1]) == "[SEP]"


def test_the_arrays_tell_sentences_context_and_padding_apart(tiny_encoder: Path) -> None:
    reader = inputs(tiny_encoder)
    windows = reader.windows([*article("chad", "egypt met"), Sentence("chad", "oil")])
    arrays = reader.arrays(windows, multiple=8)
    assert arrays["segments"].tolist() == [[0] * 3 + [1] * 4 + [-1], [0] * 3 + [1] * 3 + [-1] * 2]
    assert arrays["targets"].tolist() == [[0, 1], [1, -2]]
    assert (arrays["input_ids"] == reader.pad_id).tolist() == (arrays["segments"] == -1).tolist()


def test_batches_are_padded_in_steps_but_no_longer_than_the_model_reads(tiny_encoder: Path) -> None:
    reader = inputs(tiny_encoder, max_length=10)
    lengths = []
    for count in (1, 2, 3, 6, 7, 8):
        ((_, arrays),) = reader.batches(reader.windows([Sentence("egypt " * count)]))
        lengths.append(arrays["input_ids"].shape[1])
    assert lengths == [4, 4, 8, 8, 10, 10]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_a_sentence_has_the_same_answer_in_any_company(tiny_transformer: Path, batch_size: int) -> None:
    model = load(tiny_transformer)
    items = [*article(*TEXTS), *(Sentence(text) for text in TEXTS)]  # of several windows, and of one sentence each
    alone = np.concatenate([model.predict_proba([item]) for item in items])
    np.testing.assert_allclose(model.predict_proba(items, batch_size=batch_size), alone, atol=1e-5)
    order = np.random.default_rng(1).permutation(len(items))
    shuffled = model.predict_proba([items[i] for i in order], batch_size=batch_size)
    np.testing.assert_allclose(shuffled, alone[order], atol=1e-5)


def test_rows_keep_their_order(tiny_transformer: Path) -> None:
    texts = [f"{COUNTRIES[i % 10]} and " * (i % 3) + text for i, text in enumerate(TEXTS)]
    together = load(tiny_transformer).predict_proba([Sentence(t) for t in texts])
    np.testing.assert_allclose(together.sum(1), 1)
    alone = [predict(text, model=tiny_transformer).label for text in texts]
    assert [p.label for p in predict(texts, model=tiny_transformer)] == alone


def test_a_word_weighs_what_its_absence_costs(tiny_transformer: Path) -> None:
    text, context = "Egypt urged the Council to lift the arms embargo", "It met the envoy."
    whole = predict(text, context=context, model=tiny_transformer, explain=True)
    assert whole.explanation
    assert [a.token for a in whole.explanation] == text.split()
    for a in whole.explanation:
        assert text[a.start : a.end] == a.token
        without = predict(text[: a.start] + text[a.end :], context=context, model=tiny_transformer)
        expected = whole.confidence - without.probabilities[str(whole.label)]
        assert a.weight == pytest.approx(expected, abs=1e-5)


def test_a_single_word_can_be_explained(tiny_transformer: Path) -> None:
    (attribution,) = predict("lift!", model=tiny_transformer, explain=True).explanation or ()
    assert (attribution.token, attribution.start, attribution.end) == ("lift", 0, 4)
    assert predict("…", model=tiny_transformer, explain=True).explanation == ()


def test_threads_share_a_model(tiny_transformer: Path) -> None:
    model = load(tiny_transformer)
    expected = predict(TEXTS, model=model)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: predict(TEXTS, model=model), range(40)))


def test_long_sentences_are_cut_with_one_warning_that_counts_them(tiny_transformer: Path) -> None:
    texts = [*TEXTS, LONG, *TEXTS, LONG]
    with pytest.warns(TruncationWarning) as caught:
        predict(texts, model=tiny_transformer, batch_size=8)
    assert [str(w.message) for w in caught] == ["2 sentence(s) are longer than the 32 tokens that the model reads: cut"]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(TEXTS, context=[LONG] * len(TEXTS), model=tiny_transformer)


def test_the_command_line_counts_them_over_all_rows(
    tiny_transformer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text(f"{LONG}\n{TEXTS[0]}\n" * 1500)
    arguments = [
        "predict",
        "--input",
        tmp_path / "in.txt",
        "--output",
        tmp_path / "out.jsonl",
        "--model",
        tiny_transformer,
    ]
    assert main(list(map(str, arguments))) == 0
    assert capsys.readouterr().err == (
        "stance: 1500 sentence(s) are longer than the 32 tokens that the model reads: cut\n"
    )


def test_a_folder_that_is_none_is_an_error(tiny_transformer: Path, tmp_path: Path) -> None:
    for name in KIND.files:
        (tmp_path / name).write_bytes((tiny_transformer / name).read_bytes())
    assert OnnxModel.load(tmp_path, stance.schema.TaskSpec())
    for name, content in [
        ("model.onnx", "{}"),
        ("tokenizer.json", "{}"),
        ("inputs.json", '{"temperature": 1, "biases": [0, 0, 0, 0], "x": 1}'),
        ("inputs.json", '{"context": 2, "max_length": 32, "temperature": 1, "biases": [0, 0, 0]}'),
        ("inputs.json", '{"context": 2, "max_length": 32, "temperature": 1}'),
    ]:
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).write_text(content)
        with pytest.raises((ValueError, TypeError)):
            OnnxModel.load(tmp_path, stance.schema.TaskSpec())
        (tmp_path / name).write_bytes(kept)


def needed(package: str, found: set[str]) -> set[str]:
    """A package with all that it needs here, by its own account; the hub's client is not needed to predict."""
    if package not in found and package != "huggingface-hub":
        found.add(package)
        for requirement in map(Requirement, metadata.requires(package) or []):
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                needed(requirement.name, found)
    return found


def test_prediction_needs_onnxruntime_tokenizers_and_numpy_only(tiny_transformer: Path, tmp_path: Path) -> None:
    """In a Python whose only packages are these, tqdm, and what they need themselves."""
    packages: set[str] = set()
    for package in ("onnxruntime", "tokenizers", "numpy", "tqdm"):
        needed(package, packages)
    assert not packages & {"torch", "transformers", "scikit-learn", "scipy", "skops", "datasets"}
    for package in packages:
        distribution = metadata.distribution(package)
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (tmp_path / top).exists():
                (tmp_path / top).symlink_to(distribution.locate_file(top))
    (tmp_path / "stance").symlink_to(Path(stance.__file__).parent)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from stance import predict\n"
        f"print(predict({TEXTS[0]!r}, context='Chad met Spain.', model={str(tiny_transformer)!r}).label)\n"
        "for name in ('torch', 'transformers', 'sklearn'):\n"
        "    try: __import__(name)\n"
        "    except ModuleNotFoundError: continue\n"
        "    sys.exit(name)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == predict(TEXTS[0], context="Chad met Spain.", model=tiny_transformer).label


def test_memory_stays_flat(tiny_transformer: Path) -> None:
    code = (
        "import json, resource\n"
        "from stance import load\n"
        "from stance.schema import Sentence\n"
        f"model = load({str(tiny_transformer)!r})\n"
        f"items = [Sentence(t) for t in {TEXTS!r}]\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "model.predict_proba(items * 50); few = peak()\n"
        "model.predict_proba(items * 1000); print(json.dumps([few, peak()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    few, many = (kibibytes / 1024 for kibibytes in json.loads(done.stdout))
    assert many - few < 12, "20 times the sentences took more than their probabilities"
