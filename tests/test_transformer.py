"""Training a transformer, on a tiny encoder."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers
from conftest import COUNTRIES, PHRASES, ROOT, run, tiny_rows, tiny_settings, write_jsonl

from stance import load, predict
from stance.cli import main
from stance.data.labelled import load_files
from stance.models.soft_labels import read_soft_labels, soft_labels, write_soft_labels
from stance.models.transformer import export
from stance.models.transformer.batches import TrainingBatches, collate
from stance.models.transformer.distil import prune_vocabulary, thin
from stance.models.transformer.encoders import check_masking, freeze, load_encoder, without_pooler
from stance.models.transformer.export import calibrate, torch_logits
from stance.models.transformer.fit import HEADS_LEARNING_RATE, StanceTrainer, _class_weights, fit_transformer
from stance.models.transformer.network import IGNORED, Classifier, load_classifier
from stance.models.transformer.serve import Calibration, Inputs, InputSettings
from stance.models.transformer.settings import TransformerSettings
from stance.schema import LabelledSentences, Sentence, StanceError, TaskSpec
from stance.training import cross_validate, train

TASK = TaskSpec()


def overrides(files: dict[str, Path], encoder: Path, out: Path, epochs: int) -> list[str]:
    return [
        "model=transformer",
        "data=file",
        *(f"data.{split}={file}" for split, file in files.items()),
        f"model.encoder={encoder}",
        f"model.epochs={epochs}",
        f"model.patience={epochs}",
        "model.batch_size=8",
        "model.learning_rate=3e-3",
        "model.max_length=32",
        "model.freeze_embeddings=false",
        f"out={out}",
        f"report={out}-report",
    ]


def tiny_labelled() -> LabelledSentences:
    rows = tiny_rows()
    labels = [TASK.labels.index(str(row["label"])) for row in rows]
    return LabelledSentences([Sentence(str(row["text"])) for row in rows], labels, [1.0] * len(rows))


def test_a_trained_transformer_knows_its_task(tiny_transformer: Path) -> None:
    for label, phrase in PHRASES.items():
        assert predict(f"Peru {phrase}.", model=tiny_transformer).label == label


def test_its_folder_has_what_a_model_folder_has(tiny_transformer: Path) -> None:
    description = json.loads((tiny_transformer / "model.json").read_text())
    assert description["kind"] == "transformer"
    assert description["settings"]["context"] == 4
    assert description["training_data"]["sentences"] == 24
    assert set(description["versions"]) == {"numpy", "onnxruntime", "tokenizers"}
    assert set(description["sha256"]) == {
        "README.md", "config.json", "inputs.json", "model.onnx", "model.safetensors", "tokenizer.json"
    }  # fmt: skip
    assert json.loads((tiny_transformer / "inputs.json").read_text())["temperature"] > 0
    assert "fine-tuned transformer" in (tiny_transformer / "README.md").read_text()
    assert not Path(f"{tiny_transformer}.checkpoints").exists()


def test_the_reported_test_score_is_that_of_the_saved_model(
    tiny_transformer: Path, tiny_files: dict[str, Path]
) -> None:
    from stance.evaluation.score import score

    reported = json.loads((tiny_transformer.parent / "report" / "metrics.json").read_text())
    found = score(load(tiny_transformer), load_files(tiny_files, TASK, seed=1)["test"], seed=1).metrics
    assert reported["macro_f1"] == found["macro_f1"]
    assert reported["brier"] == found["brier"]


def test_its_weights_load_again(tiny_transformer: Path) -> None:
    classifier = load_classifier(tiny_transformer, TASK, 4)
    encoder, _ = load_encoder(str(tiny_transformer))
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, classifier.encoder.state_dict()[name])
    assert len({file.stat().st_mode for file in tiny_transformer.iterdir()}) == 1


def test_export_gives_a_small_folder_that_predicts_the_same(
    tiny_transformer: Path, tiny_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = str(tmp_path / "small")
    assert main(["export", str(tiny_transformer), small, "--validation", str(tiny_files["validation"])]) == 0
    assert capsys.readouterr().out == f"{small}: macro-F1 1.000 on 8 validation sentences\n"
    assert not (tmp_path / "small" / "model.safetensors").exists()
    text = "Peru opposed lifting the arms embargo and asked for its renewal."
    assert predict(text, model=tmp_path / "small").probabilities == pytest.approx(
        predict(text, model=tiny_transformer).probabilities, abs=1e-6
    )
    smaller = tmp_path / "smaller"
    assert main(["export", small, str(smaller), "--validation", str(tiny_files["validation"])]) == 1
    assert "holds no transformer's weights" in capsys.readouterr().err
    assert not smaller.exists()


def test_a_graph_that_disagrees_with_torch_is_not_served(
    tiny_transformer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, reader = load_classifier(tiny_transformer, TASK, 4), load(tiny_transformer).inputs  # type: ignore[attr-defined]
    data = tiny_labelled()
    monkeypatch.setattr(export, "torch_logits", lambda *_: -torch_logits(classifier, reader, data.sentences))
    with pytest.raises(StanceError, match="gives other labels than torch on 40 of 40 validation sentences"):
        export.export(classifier, reader, data, task=TASK)


def test_int8_answers_do_not_depend_on_the_batch(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = transformers.AutoConfig.from_pretrained(tiny_encoder, initializer_range=0.2)
    torch.manual_seed(1)
    encoder = without_pooler(transformers.AutoModel.from_config(config))
    for layer in encoder.encoder.layer:
        # One neuron is far above the others, as some are in large encoders, and the next matrix makes up for it.
        layer.intermediate.dense.weight.data[0] *= 300
        layer.output.dense.weight.data[:, 0] /= 300
    reader = Inputs(load_encoder(str(tiny_encoder))[1], InputSettings(2, 32))
    monkeypatch.setattr(export, "MAX_LOSS", 1.0)
    model = export.export(Classifier(encoder, 4, 2).eval(), reader, tiny_labelled(), task=TASK)
    operators = [node.op_type for node in onnx.load_from_string(model.graph).graph.node]
    assert operators.count("MatMulIntegerToFloat") == 2 * 6 + 2  # and two heads, which are large beside a tiny encoder
    assert not any(operator.startswith("DynamicQuantize") for operator in operators)
    model.calibration = Calibration(1.0, (0.0,) * 4)
    items = [Sentence(f"{row['text']}{' Oil.' * (i % 7)}") for i, row in enumerate(tiny_rows())]
    alone = np.concatenate([model.predict_proba([item]) for item in items])
    # With one scale for the whole batch they would differ by 0.05.
    np.testing.assert_allclose(model.predict_proba(items), alone, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(items[::-1], batch_size=3), alone[::-1], atol=1e-5)


@pytest.mark.parametrize("name", ["MPNet", "DebertaV2", "ModernBert"])
def test_encoders_of_other_kinds_are_quantized(tiny_encoder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tokenizer = load_encoder(str(tiny_encoder))
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = getattr(transformers, f"{name}Config")(vocab_size=tokenizer.get_vocab_size(), **sizes, **special)
    torch.manual_seed(1)
    classifier = Classifier(without_pooler(transformers.AutoModel.from_config(config)), 4, 2).eval()
    reader = Inputs(tokenizer, InputSettings(2, 64))
    monkeypatch.setattr(export, "MAX_LOSS", 1.0)
    model = export.export(classifier, reader, tiny_labelled(), task=TASK)
    assert "MatMulIntegerToFloat" in {node.op_type for node in onnx.load_from_string(model.graph).graph.node}
    items = article(12)
    np.testing.assert_allclose(model.logits(items), torch_logits(classifier, reader, items), atol=0.03)


def test_what_int8_would_spoil_stays_fp32(tiny_transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, reader = load_classifier(tiny_transformer, TASK, 4), load(tiny_transformer).inputs  # type: ignore[attr-defined]
    data = tiny_labelled()
    quantized = export.export(classifier, reader, data, task=TASK)
    monkeypatch.setattr(export, "MAX_LOSS", -1.0)
    exact = export.export(classifier, reader, data, task=TASK)
    operators = [
        {node.op_type for node in onnx.load_from_string(model.graph).graph.node} for model in (quantized, exact)
    ]
    assert "MatMulIntegerToFloat" in operators[0]
    assert "MatMulIntegerToFloat" not in operators[1]


def saved_states(checkpoints: Path, name: str) -> list[str]:
    """What the whole checkpoints say of one thing."""
    found = []
    for file in checkpoints.glob("checkpoint-*/trainer_state.json"):
        with contextlib.suppress(OSError, ValueError):  # half-written, or just deleted
            found.append(str(json.loads(file.read_text())[name]))
    return found


def test_the_same_command_gives_the_same_metrics_and_resumes_elsewhere_after_a_kill(
    tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path: Path
) -> None:
    epochs = 12
    run("train.py", *overrides(tiny_files, tiny_encoder, tmp_path / "whole", epochs))

    arguments = overrides(tiny_files, tiny_encoder, tmp_path / "killed", epochs)
    checkpoints = tmp_path / "killed.checkpoints"
    process = subprocess.Popen([sys.executable, "train.py", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    # Until one has the best epoch so far, which is read back at the end.
    while (
        not any("checkpoint-" in state for state in saved_states(checkpoints, "best_model_checkpoint"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()

    assert "continue it with resume=true" in run("train.py", *arguments, code=1)
    assert "other settings" in run("train.py", *arguments, "resume=true", "seed=2", code=1)
    (checkpoints / "checkpoint-99999").mkdir()  # half-written
    checkpoints.rename(tmp_path / "moved.checkpoints")  # as to another machine
    run("train.py", *overrides(tiny_files, tiny_encoder, tmp_path / "moved", epochs), "resume=true")
    assert not (tmp_path / "moved.checkpoints").exists()
    whole, resumed = (json.loads((tmp_path / f"{n}-report" / "metrics.json").read_text()) for n in ("whole", "moved"))
    assert {**whole, "model": ""} == {**resumed, "model": ""}


def test_the_baseline_has_nothing_to_resume() -> None:
    assert "leave resume=true out" in run("train.py", "resume=true", code=1)


def test_two_processes_train_one_model(tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = overrides(tiny_files, tiny_encoder, tmp_path / "model", 20)
    subprocess.run([*launch, "train.py", *arguments], cwd=ROOT, check=True, timeout=300)
    assert json.loads((tmp_path / "model-report" / "metrics.json").read_text())["macro_f1"] > 0.9


def test_cross_validation_sets_validation_aside_within_each_fold(
    tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path: Path
) -> None:
    folds = cross_validate(
        load_files(tiny_files, TASK, seed=1),
        folds=2,
        task=TASK,
        settings=tiny_settings(tiny_encoder, epochs=2),
        seed=1,
        report=tmp_path / "report",
    )
    assert [fold["sentences"] for fold in folds] == [16, 16]


def test_a_student_learns_soft_labels_and_not_the_labels(
    tiny_transformer: Path, tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path: Path
) -> None:
    wrong = [{**row, "label": "none" if row["label"] == "for" else "for"} for row in tiny_rows(COUNTRIES[:6])]
    every_label = [{"doc": "x", "text": "Chad.", "label": label} for label in PHRASES]
    files = {**tiny_files, "train": write_jsonl(tmp_path / "wrong.jsonl", wrong + every_label)}
    dataset = load_files(files, TASK, seed=1)
    items = dataset["train"].sentences
    (tmp_path / "soft").mkdir()
    write_soft_labels(tmp_path / "soft/tiny.npz", items, soft_labels([load(tiny_transformer)], items), TASK)
    train(
        dataset,
        task=TASK,
        settings=tiny_settings(
            tiny_encoder, soft_labels=str(tmp_path / "soft"), layers=1, vocabulary=110, label_smoothing=0
        ),
        seed=1,
        out=tmp_path / "student",
        report=tmp_path / "report",
        data_name="tiny",
    )
    for label, phrase in PHRASES.items():
        assert predict(f"Peru {phrase}.", model=tmp_path / "student").label == label
    assert json.loads((tmp_path / "student" / "config.json").read_text())["num_hidden_layers"] == 1


def test_soft_labels_are_found_again_with_other_context_and_punctuation(tmp_path: Path) -> None:
    items = [Sentence("Lift it, now!", "Before.", "a"), Sentence("Keep it.", "", "a"), Sentence("Keep it.", "", "b")]
    probabilities = np.random.default_rng(1).dirichlet(np.ones(4), size=(2, 3))
    write_soft_labels(tmp_path / "some.npz", items[:2], probabilities[:, :2], TASK)
    write_soft_labels(tmp_path / "others.npz", items[2:], probabilities[:, 2:], TASK)
    asked = [Sentence("Keep it.", "Else.", "b"), Sentence("lift it now", "", "a")]
    found = read_soft_labels(tmp_path, asked, TASK)
    np.testing.assert_allclose(found, probabilities[:, [2, 0]], atol=1e-3)
    with pytest.raises(StanceError, match=r"1 of 1 training sentences have no soft label, .* document c"):
        read_soft_labels(tmp_path, [Sentence("Keep it.", "", "c")], TASK)
    with pytest.raises(StanceError, match="has the labels"):
        read_soft_labels(tmp_path, asked, TaskSpec(("agree", "disagree"), ("agree",)))
    (tmp_path / "some.npz").write_bytes(b"broken")
    with pytest.raises(StanceError, match=r"some\.npz cannot be read as soft labels"):
        read_soft_labels(tmp_path, asked, TASK)
    with pytest.raises(StanceError, match="there are no soft labels; make them: stance data soft-labels"):
        read_soft_labels(tmp_path / "absent", asked, TASK)


def test_several_teachers_are_averaged(tiny_transformer: Path) -> None:
    teacher = load(tiny_transformer)
    items = [Sentence(f"Peru {PHRASES['for']}.", f"Peru {PHRASES['none']}.")]
    found = soft_labels([teacher, teacher], items)
    np.testing.assert_allclose(found[0], teacher.predict_proba(items))
    np.testing.assert_allclose(found[1], teacher.predict_proba([Sentence(items[0].text)]))
    assert (found[0] != found[1]).any()


def test_a_sentence_of_more_weight_counts_more(tiny_encoder: Path) -> None:
    encoder, _ = load_encoder(str(tiny_encoder))
    torch.manual_seed(1)
    classifier = Classifier(encoder, 4, 0, torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.1).eval()
    tokens = {"input_ids": torch.tensor([[2, 7, 3], [2, 9, 3]]), "segments": torch.zeros(2, 3, dtype=torch.long)}
    tokens |= {"targets": torch.zeros(2, 1, dtype=torch.long), "labels": torch.tensor([[0], [3]])}

    def loss(*weights: float) -> float:
        return float(classifier(**tokens, weights=torch.tensor(weights).unsqueeze(1))["loss"])

    first, second = loss(1.0, 1e-9), loss(1e-9, 1.0)
    assert loss(1.0, 1.0) == pytest.approx((first + 4 * second) / 5, rel=1e-5)  # by class weights
    assert loss(4.0, 1.0) == pytest.approx((first + second) / 2, rel=1e-5)
    assert loss(2.0, 2.0) == pytest.approx(float(classifier(**tokens)["loss"]), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("balanced", [2, 2, 2, 0.4]), ("sqrt", [2**0.5] * 3 + [0.4**0.5]), ("none", None)],
)
def test_rare_labels_weigh_more_if_asked(kind: str, expected: list[float] | None) -> None:
    found = _class_weights(kind, LabelledSentences(sentences(8), [3, 3, 3, 3, 3, 0, 1, 2], [1.0] * 8), 4)
    assert (None if found is None else found.tolist()) == (expected and pytest.approx(expected))
    # A sentence of weight 5 counts as five.
    weighed = _class_weights(kind, LabelledSentences(sentences(4), [3, 0, 1, 2], [5.0, 1.0, 1.0, 1.0]), 4)
    assert (None if weighed is None else weighed.tolist()) == (expected and pytest.approx(expected))


def test_what_is_trained_in_bf16_is_served_without(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stance.models.transformer.fit.has_bf16", lambda: True
    )  # emulated, where the processor has none
    part = LabelledSentences(sentences(8), [0, 1, 2, 3] * 2, [1.0] * 8)
    settings = tiny_settings(tiny_encoder, epochs=1)
    trained = fit_transformer(part, part, task=TASK, settings=settings, seed=1, checkpoints=tmp_path / "checkpoints")
    assert trained is not None
    assert trained.model.read(part.sentences)[0].shape == (8, 4)
    trained.save(tmp_path)
    classifier = load_classifier(tmp_path, TASK, 4)
    assert all(parameter.dtype == torch.float32 for parameter in classifier.parameters())
    casts = [node for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "Cast"]
    assert onnx.TensorProto.BFLOAT16 not in [attribute.i for node in casts for attribute in node.attribute]


def test_calibration_finds_the_temperature_and_the_labels_frequencies() -> None:
    generator = np.random.default_rng(1)
    frequencies = [0.1, 0.1, 0.1, 0.7]
    labels = generator.choice(4, 20_000, p=frequencies)
    # Of unit Gaussians around 2 e_label, the logits of labels that are equally frequent are twice the coordinates.
    logits = 2 * (generator.normal(size=(20_000, 4)) + 2 * np.eye(4)[labels])
    calibration = calibrate(3 * logits, LabelledSentences([], labels.tolist(), [1.0] * 20_000))
    assert calibration.temperature == pytest.approx(3, rel=0.05)
    assert calibration.biases == pytest.approx(np.log(frequencies) - np.log(0.7), abs=0.1)
    assert calibration(3 * logits).mean(axis=0) == pytest.approx(frequencies, abs=0.01)


def test_longer_inputs_than_the_encoder_reads_are_refused(
    tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path: Path
) -> None:
    assert "this encoder reads at most 64 tokens" in run(
        "train.py", *overrides(tiny_files, tiny_encoder, tmp_path / "m", 1), "model.max_length=65", code=1
    )
    assert not list(tmp_path.iterdir())


def test_a_label_without_sentences_is_an_error(tiny_files: dict[str, Path], tiny_encoder: Path, tmp_path: Path) -> None:
    rows = [row for row in tiny_rows() if row["label"] != "conditional"]
    files = {**tiny_files, "train": write_jsonl(tmp_path / "few.jsonl", rows[:9])}
    with pytest.raises(StanceError, match="'conditional' has no training sentence"):
        train(
            load_files(files, TASK, seed=1),
            task=TASK,
            settings=tiny_settings(tiny_encoder),
            seed=1,
            out=tmp_path / "m",
            report=tmp_path / "r",
            data_name="tiny",
        )
    assert not list(tmp_path.glob("m*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"context": -1}, "context must be at least 0"),
        ({"context_dropout": 1.5}, "context_dropout must be from 0 to 1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be from 0 to below 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"class_weights": "inverse"}, "class_weights must be one of balanced, sqrt, none"),
    ],
)
def test_a_setting_out_of_its_range_is_an_error(change: dict[str, object], message: str) -> None:
    with pytest.raises(StanceError, match=message):
        TransformerSettings(**change)  # type: ignore[arg-type]


def sentences(count: int) -> list[Sentence]:
    return [Sentence("Egypt met the envoy." + " Oil." * (i % 7), "Chad met Spain.\nMalta.") for i in range(count)]


def article(count: int) -> list[Sentence]:
    texts = ["Egypt met the envoy." + " Oil." * (i % 7) for i in range(count)]
    return [Sentence(text, "\n".join(texts[:i]), holder="Egypt") for i, text in enumerate(texts)]


def make_batches(encoder: Path, items: list[Sentence], context_dropout: float, **soft: object) -> TrainingBatches:
    _, tokenizer = load_encoder(str(encoder))
    inputs = Inputs(tokenizer, InputSettings(2, 40))
    data = LabelledSentences(items, [i % 4 for i in range(len(items))], [1.0 + i for i in range(len(items))])
    return TrainingBatches(inputs, data, 8, context_dropout, 1, **soft)  # type: ignore[arg-type]


def test_contexts_are_cut_off_at_random_anew_each_epoch(tiny_encoder: Path) -> None:
    data = make_batches(tiny_encoder, sentences(400), 0.25)
    dropped = {}
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        alone = {r: e.window.first == 0 for batch in data.batches for e in batch for r in e.window.rows}
        found = np.array([alone[row] for row in range(400)])
        assert 0.18 < found.mean() < 0.32
        assert (dropped.setdefault(epoch, found) == found).all()
    assert (dropped[0] != dropped[1]).any()


def test_batches_hold_each_sentence_once_and_windows_of_about_one_length(tiny_encoder: Path) -> None:
    data = make_batches(tiny_encoder, article(400), 0.5)
    orders = []
    for epoch in range(2):
        data.set_epoch(epoch)
        rows = [[row for example in data[i] for row in example.window.rows] for i in range(len(data))]
        assert len(data) == 50
        assert sorted(row for batch in rows for row in batch) == list(range(400))
        assert np.std([len(batch) for batch in rows]) < 3
        lengths = [[example.window.length for example in data[i]] for i in range(len(data))]
        spreads = [max(batch) - min(batch) for batch in lengths]
        assert np.mean(spreads) < 12
        assert max(spreads) < 25
        assert max(max(batch) for batch in lengths) <= 40
        orders.append(rows)
    assert orders[0] != orders[1]


def test_a_batch_has_what_each_sentence_is_to_learn(tiny_encoder: Path) -> None:
    soft = np.random.default_rng(1).random((2, 20, 4))
    data = make_batches(tiny_encoder, article(20), 0.3, soft_labels=soft)
    for batch in data.batches:
        tensors = collate(data.inputs, [batch])
        for i, example in enumerate(batch):
            for j, row in enumerate(example.window.rows):
                assert tensors["labels"][i, j] == row % 4
                assert tensors["weights"][i, j] == 1 + row
                seen_alone = example.window.first == 0 and j == 0
                assert tensors["soft_labels"][i, j].tolist() == pytest.approx(soft[int(seen_alone), row])
                first, last = tensors["holders"][i, j].tolist()
                assert data.inputs.named(example.window, first, last) == "Egypt"
                assert tensors["segments"][i, first] == tensors["targets"][i, j]
            assert (tensors["labels"][i, len(example.labels) :] == IGNORED).all()
            assert (tensors["holders"][i, len(example.labels) :] == IGNORED).all()


def test_a_sentence_sees_those_before_it_and_none_behind(tiny_transformer: Path) -> None:
    classifier, reader = load_classifier(tiny_transformer, TASK, 4), load(tiny_transformer).inputs  # type: ignore[attr-defined]

    def logits(texts: list[str]) -> torch.Tensor:
        items = [Sentence(text, "\n".join(texts[:i])) for i, text in enumerate(texts)]
        (window,) = reader.windows(items)
        with torch.inference_mode():
            return classifier(**{n: torch.from_numpy(a) for n, a in reader.arrays([window]).items()})["logits"][0]

    texts = ["Egypt met Spain.", "Chad met Oil.", "Malta met Egypt.", "Spain."]
    whole = logits(texts)
    assert torch.allclose(logits(texts[:3]), whole[:3], atol=1e-5)
    changed = logits([*texts[:3], "Egypt."])
    assert torch.allclose(changed[:3], whole[:3], atol=1e-5)
    assert not torch.allclose(logits(["Chad met Spain.", *texts[1:]])[1], whole[1], atol=1e-5)


@pytest.mark.parametrize(
    "name", ["Bert", "MPNet", "Roberta", "XLMRoberta", "Electra", "Albert", "DebertaV2", "ModernBert"]
)
def test_encoders_of_many_kinds_are_told_what_to_see(name: str) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    config = getattr(transformers, f"{name}Config")(vocab_size=50, embedding_size=16, **sizes, **special)
    check_masking(transformers.AutoModel.from_config(config))


def test_an_encoder_that_sees_all_is_refused() -> None:
    config = transformers.FNetConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, intermediate_size=32)
    with pytest.raises(StanceError, match="this encoder"):
        check_masking(transformers.AutoModel.from_config(config))


def test_frozen_parts_do_not_learn(tiny_encoder: Path) -> None:
    encoder, _ = load_encoder(str(tiny_encoder))
    freeze(encoder, embeddings=True, layers=1)
    learning = {
        name.split(".")[0] + name.partition("layer.")[2][:1]
        for name, p in encoder.named_parameters()
        if p.requires_grad
    }
    assert learning == {"encoder1"}
    with pytest.raises(StanceError, match="the encoder has 2 layers"):
        freeze(encoder, embeddings=False, layers=3)


def test_heads_learn_faster_and_each_parameter_is_learned_once(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder, _ = load_encoder(str(tiny_encoder))
    classifier = Classifier(encoder, 4, context=2)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), learning_rate=1e-4, weight_decay=0.01, report_to="none", use_cpu=True
    )
    groups = StanceTrainer(model=classifier, args=arguments).create_optimizer().param_groups
    rates = [(parameter, group["lr"]) for group in groups for parameter in group["params"]]
    assert {parameter for parameter, _ in rates} == set(classifier.parameters())
    assert len(rates) == len(list(classifier.parameters()))
    of_encoder = set(encoder.parameters())
    assert {rate for parameter, rate in rates if parameter in of_encoder} == {1e-4}
    assert {rate for parameter, rate in rates if parameter not in of_encoder} == {1e-4 * HEADS_LEARNING_RATE}
    assert {group["weight_decay"] for group in groups if group["lr"] > 1e-4} == {0.0, 0.01}


def test_a_thinned_encoder_keeps_its_lowest_layers(tiny_encoder: Path) -> None:
    encoder, _ = load_encoder(str(tiny_encoder))
    lowest = encoder.encoder.layer[0]
    thin(encoder, 1)
    assert list(encoder.encoder.layer) == [lowest]
    with pytest.raises(StanceError, match="the encoder has 1 layers"):
        thin(encoder, 2)


def test_a_smaller_vocabulary_keeps_the_meaning_of_its_tokens(tiny_encoder: Path) -> None:
    encoder, tokenizer = load_encoder(str(tiny_encoder))
    before = encoder.get_input_embeddings().weight.detach().clone()
    text = "Egypt opposed lifting the embargo."
    smaller = prune_vocabulary(encoder, tokenizer, 62, [text])
    old, new = tokenizer.encode(text, "Chad."), smaller.encode(text, "Chad.")
    assert new.tokens[: len(tokenizer.encode(text))] == old.tokens[: len(tokenizer.encode(text))]
    assert "[UNK]" not in smaller.encode("zebra").tokens
    after = encoder.get_input_embeddings().weight
    assert len(after) == smaller.get_vocab_size() == 62 < len(before)
    for token, number in smaller.get_vocab().items():
        assert torch.equal(after[number], before[tokenizer.token_to_id(token)])
    with pytest.raises(StanceError, match="the training data alone use"):
        prune_vocabulary(encoder, smaller, 20, [text])


def test_an_altered_graph_is_refused(tiny_transformer: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_transformer, tmp_path / "copy"))
    (copy / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(StanceError, match=r"model\.onnx was altered"):
        load(copy)
