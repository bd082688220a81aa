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
from stance.models.onnx import Inputs, InputSettings, OnnxModel
from stance.schema import Sentence, TruncationWarning

TEXTS = [f"{country} {phrase}." for country in COUNTRIES for phrase in PHRASES.values()]
LONG = "Egypt met the envoy to talk about oil exports and schools " * 10


def inputs(folder: Path, context: int = 2, max_length: int = 32) -> Inputs:
    return Inputs(Tokenizer.from_file(str(folder / "tokenizer.json")), InputSettings(context, max_length))


def words(inputs: Inputs, sentence: Sentence) -> str:
    return inputs.tokenizer.decode(inputs.encode([sentence])[0].ids, skip_special_tokens=False)


@pytest.mark.parametrize(
    ("context", "read"),
    [
        (0, "[CLS] egypt met spain [SEP]"),
        (1, "[CLS] chad met [SEP] egypt met spain [SEP]"),
        (2, "[CLS] envoy met chad met [SEP] egypt met spain [SEP]"),
        (9, "[CLS] oil met envoy met chad met [SEP] egypt met spain [SEP]"),
    ],
)
def test_the_last_sentences_of_the_context_come_first(tiny_encoder: Path, context: int, read: str) -> None:
    sentence = Sentence("Egypt met Spain", "oil met\nenvoy met\n\nchad met\n")
    assert words(inputs(tiny_encoder, context), sentence) == read


def test_the_context_is_cut_and_never_the_sentence(tiny_encoder: Path) -> None:
    reader = inputs(tiny_encoder, max_length=9)
    assert words(reader, Sentence("egypt met spain", "oil exports and schools")) == (
        "[CLS] exports and schools [SEP] egypt met spain [SEP]"
    )
    whole = Sentence("egypt met spain to talk about", "oil")
    assert words(reader, whole) == "[CLS] egypt met spain to talk about [SEP]"
    (encoded,) = reader.encode([whole])
    assert (len(encoded.ids), encoded.cut) == (8, False)
    (encoded,) = reader.encode([Sentence(LONG, "oil")])
    assert (len(encoded.ids), encoded.cut) == (8, True)


def test_the_arrays_tell_sentence_context_and_padding_apart(tiny_encoder: Path) -> None:
    reader = inputs(tiny_encoder)
    arrays = reader.arrays(reader.encode([Sentence("egypt met spain", "oil"), Sentence("chad")]))
    assert {array.shape for array in arrays.values()} == {(2, 7)}
    assert {a.shape for a in reader.arrays(reader.encode([Sentence("chad")]), multiple=8).values()} == {(1, 8)}
    assert arrays["attention_mask"].tolist() == [[1] * 7, [1] * 3 + [0] * 4]
    assert arrays["sentence_mask"].tolist() == [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0, 0]]
    assert arrays["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1, 1], [0] * 7]


def test_rows_keep_their_order(tiny_transformer: Path) -> None:
    texts = [f"{COUNTRIES[i % 10]} and " * (i % 3) + text for i, text in enumerate(TEXTS)]
    together = load(tiny_transformer).predict_proba([Sentence(t) for t in texts])
    np.testing.assert_allclose(together.sum(1), 1)
    alone = [predict(text, model=tiny_transformer).label for text in texts]
    assert [p.label for p in predict(texts, model=tiny_transformer)] == alone


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_changes_nothing_but_the_rounding_of_int8(tiny_transformer: Path, batch_size: int) -> None:
    expected = load(tiny_transformer).predict_proba([Sentence(t) for t in TEXTS])
    found = load(tiny_transformer).predict_proba([Sentence(t) for t in TEXTS], batch_size=batch_size)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_word_weighs_what_its_absence_costs(tiny_transformer: Path) -> None:
    text, context = "Egypt urged the Council to lift the arms embargo", "It met the envoy."
    whole = predict(text, context=context, model=tiny_transformer, explain=True)
    assert whole.explanation
    assert [a.token for a in whole.explanation] == text.split()
    for a in whole.explanation:
        assert text[a.start : a.end] == a.token
        without = predict(text[: a.start] + text[a.end :], context=context, model=tiny_transformer)
        expected = whole.confidence - without.probabilities[str(whole.label)]
        assert a.weight == pytest.approx(expected, abs=0.02)  # int8 rounds by the batch


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
    for name in OnnxModel.files:
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
