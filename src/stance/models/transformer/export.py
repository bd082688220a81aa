"""From a trained transformer to what is served: ONNX, int8, checked on validation, calibrated."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

    from stance.models.transformer.quantize import OPSET, quantize
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

    The fp32 graph must give torch's labels on all sentences, except where torch's two best logits are nearly equal.
    The int8 graph must lose at most 0.5 points of macro-F1 over the stance labels. If it loses more, the fp32 graph is
    taken.

    Args:
        classifier: in evaluation mode, on the CPU.
        inputs: its inputs.
        validation: what the graph is checked and calibrated on; the weights count there.
        task: the labels.

    Raises:
        StanceError: if the fp32 graph and torch disagree.
    """
    sentences = validation.sentences
    graph = _to_onnx(classifier, inputs)
    expected = torch_logits(classifier, inputs, sentences)
    exact = OnnxModel(graph.SerializeToString(), inputs, calibrate(expected, validation), task)
    logits = exact.logits(sentences, progress=True)
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > SAME
    if differ := int((clear & (logits.argmax(1) != expected.argmax(1))).sum()):
        raise StanceError(
            f"the ONNX graph gives other labels than torch on {differ} of {len(sentences)} validation sentences; "
            "this encoder cannot be served"
        )
    score = macro_f1(validation.labels, exact.calibration(logits), validation.weights, task)
    quantize(graph)
    quantized = OnnxModel(graph.SerializeToString(), inputs, exact.calibration, task)
    logits = quantized.logits(sentences, progress=True)
    quantized.calibration = calibrate(logits, validation)
    loss = score - macro_f1(validation.labels, quantized.calibration(logits), validation.weights, task)
    log.info("int8 loses %.4f of macro-F1 %.4f", loss, score)
    if loss <= MAX_LOSS:
        return quantized
    log.warning("int8 loses more than %.3f of macro-F1 %.4f: the graph stays fp32", MAX_LOSS, score)
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


def _to_onnx(classifier: Classifier, inputs: Inputs) -> onnx.ModelProto:
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
            opset_version=OPSET,
            verbose=False,
        )
    model = program.model_proto  # type: ignore[union-attr]  # None only with dynamo=False
    del model.graph.value_info[:]  # the exporter's are wrong after its own optimizer
    for node in model.graph.node:
        del node.metadata_props[:]  # where in whose files the exporter found it
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the exporter's deprecation warnings and its log."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
