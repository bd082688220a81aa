"""From a trained transformer to what is served: ONNX, int8, checked on validation, calibrated."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import f1_score

from stance.models.transformer.network import Classifier
from stance.models.transformer.serve import Calibration, Inputs, OnnxModel
from stance.schema import LabelledSentences, MissingExtraError, Sentence, StanceError, TaskSpec

try:
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

except ImportError as error:
    raise MissingExtraError("exporting a transformer", "transformer") from error

log = logging.getLogger(__name__)

MAX_LOSS = 0.005
# Logits that differ by less are equal but for rounding.
SAME = 1e-4


class Served(torch.nn.Module):
    """A classifier's outputs, with its inputs in a fixed order."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self, input_ids: torch.Tensor, segments: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`logits` and `holder_logits`, see `Classifier.forward`."""
        found = self.classifier(input_ids, segments, targets)
        return found["logits"], found["holder_logits"]


def export(classifier: Classifier, inputs: Inputs, validation: LabelledSentences, *, task: TaskSpec) -> OnnxModel:
    """Export a classifier to ONNX, quantize it to int8, and calibrate it.

    The fp32 graph must give torch's labels on all sentences (but where torch's two best logits are as good as equal).
    Of the quantized graphs the first is taken that loses at most 0.5 points of macro-F1 over the stance labels: all
    weights in int8, then all but the feed-forward layers' second half, whose inputs have the widest range, then few
    beside the embeddings; if none does, the fp32 graph.

    Args:
        classifier: in evaluation mode, on the CPU.
        inputs: its inputs.
        validation: what the graph is checked and calibrated on; the weights count there.
        task: the labels.

    Raises:
        StanceError: if the fp32 graph and torch disagree.
    """
    sentences = validation.sentences
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        _to_onnx(classifier, inputs, whole)
        expected = torch_logits(classifier, inputs, sentences)
        exact = OnnxModel(whole.read_bytes(), inputs, calibrate(expected, validation), task)
        logits = exact.logits(sentences, progress=True)
        best = np.sort(expected, axis=1)
        clear = best[:, -1] - best[:, -2] > SAME
        if differ := int((clear & (logits.argmax(1) != expected.argmax(1))).sum()):
            raise StanceError(
                f"the ONNX graph gives other labels than torch on {differ} of {len(sentences)} validation sentences; "
                "this encoder cannot be served"
            )
        score = macro_f1(validation.labels, exact.calibration(logits), validation.weights, task)
        for excluded in ((), ("Gelu",), ("LayerNormalization", "Gelu")):
            _quantize(whole, small, after=excluded)
            quantized = OnnxModel(small.read_bytes(), inputs, exact.calibration, task)
            logits = quantized.logits(sentences, progress=True)
            quantized.calibration = calibrate(logits, validation)
            loss = score - macro_f1(validation.labels, quantized.calibration(logits), validation.weights, task)
            log.info("int8%s loses %.4f of macro-F1 %.4f", f" except after {excluded}" if excluded else "", loss, score)
            if loss <= MAX_LOSS:
                return quantized
    log.warning("int8 loses more than %.3f of macro-F1 %.4f however it is done: the graph stays fp32", MAX_LOSS, score)
    return exact


def macro_f1(labels: Any, scores: Any, weights: Any, task: TaskSpec) -> float:
    """Compute macro-F1 over the stance labels.

    Args:
        labels: the numbers of the gold labels, shape (sentences,).
        scores: logits or probabilities, shape (sentences, labels).
        weights: how much each sentence counts, shape (sentences,).
        task: the labels.
    """
    stances = [task.labels.index(label) for label in task.stance_labels]
    return float(
        f1_score(labels, np.argmax(scores, 1), labels=stances, average="macro", sample_weight=weights, zero_division=0)
    )


def torch_logits(classifier: Classifier, inputs: Inputs, sentences: Sequence[Sentence]) -> NDArray[np.float64]:
    """The classifier's logits by torch, shape (sentences, labels)."""
    logits = np.empty((len(sentences), classifier.stance_head.out_features))
    with torch.inference_mode():
        for windows, arrays in inputs.batches(inputs.windows(sentences)):
            found = classifier(**{name: torch.from_numpy(a) for name, a in arrays.items()})["logits"].numpy()
            for i, window in enumerate(windows):
                logits[window.rows] = found[i, : len(window.rows)]
    return logits


def calibrate(logits: NDArray[np.float64], validation: LabelledSentences) -> Calibration:
    """Fit the calibration that makes the gold labels most likely.

    Args:
        logits: shape (sentences, labels).
        validation: the sentences' gold labels, and how much each counts.
    """
    gold = np.arange(len(logits)), np.asarray(validation.labels)
    weights = np.asarray(validation.weights)

    def calibration(parameters: NDArray[np.float64]) -> Calibration:
        # Adding the same to all biases changes nothing: the last one is 0.
        return Calibration(float(np.exp(parameters[0])), (*parameters[1:].tolist(), 0.0))

    def loss(parameters: NDArray[np.float64]) -> float:
        return float(-np.average(np.log(calibration(parameters)(logits)[gold] + 1e-12), weights=weights))

    bounds = [(-3.0, 3.0)] * logits.shape[1]
    return calibration(minimize(loss, np.zeros(logits.shape[1]), method="L-BFGS-B", bounds=bounds).x)


def _to_onnx(classifier: Classifier, inputs: Inputs, file: Path) -> None:
    # Two windows of two sentences, as dimensions of size 1 would be taken to be fixed.
    pair = [Sentence("A sentence."), Sentence("The next one.", "A sentence.")]
    example = inputs.arrays(inputs.windows(pair if inputs.settings.context else pair[:1]) * 2)
    names = ["input_ids", "segments", "targets"]
    windows, tokens = torch.export.Dim("windows", min=1), torch.export.Dim("tokens", min=2)
    targets = {1: torch.export.Dim("targets", min=1)} if inputs.settings.context else {}
    # The plain attention exports to fewer nodes than the fused one.
    classifier.encoder.set_attn_implementation("eager")
    with _quietly():
        program = torch.onnx.export(
            Served(classifier),
            tuple(torch.from_numpy(example[name]) for name in names),
            input_names=names,
            output_names=["logits", "holder_logits"],
            dynamic_shapes=({0: windows, 1: tokens}, {0: windows, 1: tokens}, {0: windows, **targets}),
            verbose=False,
        )
    program.save(str(file), external_data=False)  # type: ignore[union-attr]  # None only with dynamo=False


def _quantize(source: Path, target: Path, *, after: Sequence[str]) -> None:
    """Quantize weights to int8 per channel, and activations as they come.

    Args:
        source: the fp32 graph.
        target: the file to write.
        after: matrix products that follow directly on nodes of these types stay as they are.
    """
    graph = onnx.load(source)
    del graph.graph.value_info[:]  # the exporter's are wrong after its own optimizer
    for node in graph.graph.node:
        del node.metadata_props[:]  # where in whose files the exporter found it
    makers = {name: node.op_type for node in graph.graph.node for name in node.output}
    excluded = [
        node.name for node in graph.graph.node if node.op_type == "MatMul" and makers.get(node.input[0]) in after
    ]
    _quantize_embeddings(graph.graph)
    with _quietly():
        quantize_dynamic(
            graph,
            target,
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # seven bits: processors without VNNI overflow with eight
            nodes_to_exclude=excluded,
        )


def _quantize_embeddings(graph: onnx.GraphProto) -> None:
    """Embeddings to int8, each with a scale of its own; quantize_dynamic would give all of a table one scale."""
    tables = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2}
    nodes, quantized = [], set()
    for node in graph.node:
        if node.op_type != "Gather" or node.input[0] not in tables:
            nodes.append(node)
            continue
        name, ids, (found,) = node.input[0], node.input[1], node.output
        quantized.add(name)
        nodes += [
            onnx.helper.make_node("Gather", [f"{name}_int8", ids], [f"{found}_int8"]),
            onnx.helper.make_node("Cast", [f"{found}_int8"], [f"{found}_cast"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Gather", [f"{name}_scales", ids], [f"{found}_scales"]),
            onnx.helper.make_node("Mul", [f"{found}_cast", f"{found}_scales"], [found]),
        ]
    for name in sorted(quantized):
        rows = onnx.numpy_helper.to_array(tables[name])
        scales = np.abs(rows).max(axis=1, keepdims=True).clip(min=1e-12) / 127
        parts = {f"{name}_int8": np.round(rows / scales).astype(np.int8), f"{name}_scales": scales}
        graph.initializer.extend(onnx.numpy_helper.from_array(part, part_name) for part_name, part in parts.items())
        graph.initializer.remove(tables[name])
    del graph.node[:]
    graph.node.extend(nodes)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporters' deprecation warnings, and their line of log for each matrix product."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
