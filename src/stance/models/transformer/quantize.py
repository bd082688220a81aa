"""Turn an ONNX graph from fp32 into int8: embeddings, and matrix products with a scale for each row of activations.

A row of activations is the vector of one token. onnxruntime's `quantize_dynamic` takes one scale for all rows, so that
a sentence's logits depend on the other sentences of its batch. Here the graph computes the scale of each row from that
row alone, so that a row has the same result in any batch:

    x              fp32, shape (..., inputs): the activations
    x_scale        fp32, shape (..., 1): largest absolute value of the row / 127
    x_uint8        uint8, shape (..., inputs): round(x / x_scale) + 128
    weight_int8    int8, shape (inputs, outputs)
    weight_scales  fp32, shape (outputs,)
    result         fp32, shape (..., outputs): (x_uint8 - 128) @ weight_int8 * weight_scales * x_scale

onnxruntime is fast where the first factor is unsigned and the second one signed.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.helper import make_node, make_opsetid
from onnx.numpy_helper import from_array, to_array

# The first opset whose QuantizeLinear takes a scale for each row of a tensor of any rank.
OPSET = 21
MICROSOFT = "com.microsoft"
# Processors without VNNI add two products of a uint8 and an int8 in 16 bits. With weights of seven bits they do not
# overflow: 2 * 255 * 64 < 2^15.
LARGEST_WEIGHT = 64
LARGEST_EMBEDDING = 127
# Weights with fewer elements than this part of the largest weight's stay fp32. They are the heads', and take little
# time.
SMALL = 1 / 8
# The least scale, so that a row of zeros can be divided by its scale.
TINY = 1e-8
# GELU is never below -0.17. So ten levels below zero are enough, and the 245 above it give twice the resolution.
GELU_BELOW, GELU_ABOVE, GELU_MINIMUM = 10, 245, -0.17
CONSTANTS = {
    "quantize.axis": np.array([-1]),
    "quantize.one": np.array(1, np.float32),
    "quantize.row.bound": np.array(127 * TINY, np.float32),
    "quantize.row.levels": np.array(127, np.float32),
    "quantize.row.zero_point": np.array(128, np.uint8),
    "quantize.gelu.bound": np.array(GELU_ABOVE * GELU_MINIMUM / -GELU_BELOW, np.float32),
    "quantize.gelu.levels": np.array(GELU_ABOVE, np.float32),
    "quantize.gelu.zero_point": np.array(GELU_BELOW, np.uint8),
}


def quantize(model: onnx.ModelProto) -> None:
    """Quantize the embeddings and the matrix products of a graph in place.

    Embeddings are looked up in a constant fp32 matrix; each gets a scale of its own. A matrix product is quantized if
    its second factor is a constant fp32 matrix that is not small. Everything else stays as it is.

    Args:
        model: a graph in fp32.

    Raises:
        ValueError: if the graph's opset is older than `OPSET`.
    """
    graph = model.graph
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if versions.get("", 0) < OPSET:
        raise ValueError(f"the graph has opset {versions.get('', 0)}: export it with opset {OPSET} or a later one")
    if MICROSOFT not in versions:
        model.opset_import.append(make_opsetid(MICROSOFT, 1))
    matrices = {t.name: to_array(t) for t in graph.initializer if t.data_type == t.FLOAT and len(t.dims) == 2}
    tables = dict.fromkeys(n.input[0] for n in graph.node if _is_lookup(n) and n.input[0] in matrices)
    factors = dict.fromkeys(n.input[1] for n in graph.node if n.op_type == "MatMul" and n.input[1] in matrices)
    least = SMALL * max((matrices[name].size for name in factors), default=0)
    weights = [name for name in factors if matrices[name].size >= least and name not in tables]

    makers = {name: node.op_type for node in graph.node for name in node.output}
    nodes: list[onnx.NodeProto] = []
    quantized = set()
    for node in graph.node:
        if _is_lookup(node) and node.input[0] in tables:
            nodes += _lookup(node)
        elif node.op_type == "MatMul" and node.input[1] in weights:
            x, weight = node.input
            kind = "gelu" if makers.get(x) == "Gelu" else "row"
            if x not in quantized:  # q, k and v have the same input
                nodes += _quantize_rows(x, len(matrices[weight]), kind)
                quantized.add(x)
            nodes += _product(node, kind)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)

    arrays = dict(CONSTANTS)
    for name in tables:
        arrays[f"{name}_int8"], arrays[f"{name}_scales"] = _round(matrices[name], LARGEST_EMBEDDING, axis=1)
    for name in weights:
        arrays[f"{name}_int8"], scales = _round(matrices[name], LARGEST_WEIGHT, axis=0)
        arrays[f"{name}_scales"] = scales[0]
    graph.initializer.extend(from_array(array, name) for name, array in arrays.items())
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _round(matrix: NDArray[np.float32], largest: int, *, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to int8 with a scale for each row (`axis=1`) or column (`axis=0`)."""
    scales = np.abs(matrix).max(axis=axis, keepdims=True).clip(min=TINY) / largest
    return np.round(matrix / scales).astype(np.int8), scales


def _is_lookup(node: onnx.NodeProto) -> bool:
    """Whether a node looks rows up, not columns."""
    return node.op_type == "Gather" and not any(a.name == "axis" and a.i for a in node.attribute)


def _lookup(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    (table, ids), (found,) = node.input, node.output
    return [
        make_node("Gather", [f"{table}_int8", ids], [f"{found}_int8"]),
        make_node("Cast", [f"{found}_int8"], [f"{found}_cast"], to=onnx.TensorProto.FLOAT),
        make_node("Gather", [f"{table}_scales", ids], [f"{found}_scales"]),
        make_node("Mul", [f"{found}_cast", f"{found}_scales"], [found]),
    ]


def _quantize_rows(x: str, width: int, kind: str) -> list[onnx.NodeProto]:
    """Nodes that give `{x}_uint8` and `{x}_scale`.

    Args:
        x: the activations, shape (..., width).
        width: length of a row.
        kind: "gelu" for the output of a GELU, else "row".
    """
    nodes, bounds = [make_node("ReduceMax", [x, "quantize.axis"], [f"{x}_max"])], [f"{x}_max", f"quantize.{kind}.bound"]
    if kind == "row":
        nodes += [
            make_node("ReduceMin", [x, "quantize.axis"], [f"{x}_min"]),
            make_node("Neg", [f"{x}_min"], [f"{x}_negated_min"]),
        ]
        bounds.append(f"{x}_negated_min")
    return [
        *nodes,
        make_node("Max", bounds, [f"{x}_bound"]),
        make_node("Div", [f"{x}_bound", f"quantize.{kind}.levels"], [f"{x}_scale"]),
        make_node("Shape", [f"{x}_scale"], [f"{x}_scale_shape"]),
        make_node("Expand", [f"quantize.{kind}.zero_point", f"{x}_scale_shape"], [f"{x}_zero_points"]),
        # One block a row.
        make_node(
            "QuantizeLinear",
            [x, f"{x}_scale", f"{x}_zero_points"],
            [f"{x}_uint8"],
            axis=-1,
            block_size=width,
        ),
    ]


def _product(node: onnx.NodeProto, kind: str) -> list[onnx.NodeProto]:
    (x, weight), (result,) = node.input, node.output
    factors = [f"{x}_uint8", f"{weight}_int8", "quantize.one", f"{weight}_scales", f"quantize.{kind}.zero_point"]
    return [
        make_node("MatMulIntegerToFloat", factors, [f"{result}_unscaled"], domain=MICROSOFT),
        make_node("Mul", [f"{result}_unscaled", f"{x}_scale"], [result]),
    ]
