"""Share of the processor's int8 limit that a served graph reaches: `python benchmarks/int8_limit.py [MODEL]`.

All on one core:

    share = multiply-adds of the graph's int8 matrix products / seconds of the whole graph / limit

- A product of activations of shape (rows, inputs) and a weight of shape (inputs, outputs) takes rows * inputs * outputs
  multiply-adds. The rows are counted in a run of the graph, padding included. Products in fp32 are not counted: those
  of attention, and the heads.
- The seconds are those of the whole graph, with attention, normalization, and the scales of the activations. So the
  share says how much time is left beside the products. Tokenization is not included.
- The limit is measured: the rate of onnxruntime's MatMulInteger of uint8 and int8, the best over several sizes. It is
  near the theoretical limit, which is 64 multiply-adds a cycle for each 512-bit VNNI unit, but does not need the
  processor's frequency, which virtual machines do not tell.

Graph and limit are measured in turn; the share is the median over the turns.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from stance import load
from stance.data.parts import load_parts
from stance.models.transformer.serve import ONNX_FILE, SLOW_OPTIMIZERS
from stance.prediction import PRETRAINED
from stance.schema import TaskSpec

PRODUCTS = ("MatMulIntegerToFloat", "MatMulInteger")
SIZES = (512, 1024, 2048)
TARGET = 0.55


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_OPTIMIZERS
    )


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def multiply_adds(model: onnx.ModelProto, batches: list[dict[str, np.ndarray]]) -> int:
    """Count the multiply-adds of all int8 matrix products in runs of the batches."""
    counting = onnx.ModelProto()
    counting.CopyFrom(model)
    inputs = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if len(tensor.dims) == 2}
    products = {node.output[0]: inputs[node.input[1]] for node in model.graph.node if node.op_type in PRODUCTS}
    del counting.graph.output[:]
    counting.graph.output.extend(onnx.ValueInfoProto(name=name) for name in products)
    run = session(counting).run
    # Of each product the result has shape (..., outputs).
    return sum(
        result.size * products[name]
        for arrays in batches
        for name, result in zip(products, run(list(products), arrays), strict=True)
    )


def square_product(size: int) -> Callable[[], object]:
    """A product of matrices of size * size, uint8 and int8."""
    rng = np.random.default_rng(1)
    weight = onnx.numpy_helper.from_array(rng.integers(-64, 65, (size, size)).astype(np.int8), "w")
    graph = make_graph(
        [make_node("MatMulInteger", ["x", "w"], ["y"])],
        "product",
        [make_tensor_value_info("x", onnx.TensorProto.UINT8, [size, size])],
        [make_tensor_value_info("y", onnx.TensorProto.INT32, [size, size])],
        [weight],
    )
    run = session(make_model(graph, opset_imports=[make_opsetid("", 21)], ir_version=10)).run
    x = rng.integers(0, 256, (size, size)).astype(np.uint8)
    return lambda: run(None, {"x": x})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=PRETRAINED, help="a transformer's model folder")
    parser.add_argument("--sentences", type=int, default=64, help="how many are read, without context (default: 64)")
    parser.add_argument("--runs", type=int, default=20, help="how often (default: 20)")
    options = parser.parse_args()
    inputs = load(options.model).inputs  # type: ignore[attr-defined]
    data = load_parts(["corpus"], TaskSpec())["test"].without_context()
    windows = inputs.windows(random.Random(1).sample(data.sentences, options.sentences))
    batches = [arrays for _, arrays in inputs.batches(windows)]
    model = onnx.load(options.model / ONNX_FILE)
    work = multiply_adds(model, batches)
    run = session(model).run
    limits = {size: square_product(size) for size in SIZES}

    def graph() -> None:
        for arrays in batches:
            run(None, arrays)

    for warm_up in (graph, *limits.values()):
        warm_up()
    rates, best = [], []
    for _ in range(options.runs):
        rates.append(work / seconds(graph))
        best.append(max(size**3 / seconds(product) for size, product in limits.items()))
    share = statistics.median(rate / limit for rate, limit in zip(rates, best, strict=True))
    tokens = sum(math.prod(arrays["input_ids"].shape) for arrays in batches)
    print(f"{options.sentences} sentences, {tokens:,} tokens with padding, {work / 1e9:.1f} G int8 multiply-adds")
    print(f"the graph on one core: {statistics.median(rates) / 1e9:.0f} G/s")
    print(f"the limit, measured:   {statistics.median(best) / 1e9:.0f} G/s")
    print(f"share of the limit:    {share:.1%}   >= {TARGET:.0%}")


if __name__ == "__main__":
    main()
