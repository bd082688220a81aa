"""The int8 form of a graph: what is quantized, how exactly, and that no row depends on another."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array, to_array
from onnxruntime import InferenceSession

from stance.models.transformer.quantize import OPSET, quantize

INPUTS, OUTPUTS = 64, 32
SHAPE = ["windows", "tokens", INPUTS]
RNG = np.random.default_rng(1)
WEIGHT, OTHER, SQUARE = (RNG.normal(size=(INPUTS, n)).astype(np.float32) for n in (OUTPUTS, OUTPUTS, INPUTS))
HEAD = RNG.normal(size=(INPUTS, 4)).astype(np.float32)


def model_of(
    nodes: Sequence[NodeProto],
    outputs: dict[str, list[str | int]],
    opset: int = OPSET,
    **constants: NDArray[np.float32],
) -> onnx.ModelProto:
    graph = make_graph(
        nodes,
        "graph",
        [make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [from_array(array, name) for name, array in constants.items()],
    )
    return make_model(graph, opset_imports=[make_opsetid("", opset)], ir_version=10)


def product(opset: int = OPSET) -> onnx.ModelProto:
    return model_of(
        [make_node("MatMul", ["x", "w"], ["y"])], {"y": ["windows", "tokens", OUTPUTS]}, opset=opset, w=WEIGHT
    )


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    onnx.checker.check_model(model)
    found: list[NDArray[np.float32]] = InferenceSession(model.SerializeToString()).run(None, {"x": x})
    return found


def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: to_array(tensor) for tensor in model.graph.initializer}


def activations(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=(*shape, INPUTS)).astype(np.float32)


def test_a_row_has_the_same_result_beside_any_others() -> None:
    model = product()
    quantize(model)
    x = activations(3, 5)
    (alone,) = run(model, x[1:2, 2:3])
    x[0] *= 1000
    x[2] = 0
    (together,) = run(model, x)
    assert (together[1, 2] == alone[0, 0]).all()
    assert (together[2] == 0).all()


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_each_row_is_as_exact_as_its_own_range_allows(scale: float) -> None:
    model = product()
    quantize(model)
    x = activations(2, 7)
    x[0] *= np.float32(scale)
    (found,) = run(model, x)
    errors = np.linalg.norm(found - x @ WEIGHT, axis=2) / np.linalg.norm(x @ WEIGHT, axis=2)
    assert errors.max() < 0.03


def test_weights_have_seven_bits_and_activations_are_unsigned() -> None:
    model = product()
    quantize(model)
    weight = constants(model)["w_int8"]
    assert weight.dtype == np.int8
    assert (np.abs(weight.astype(int)).max(axis=0) == 64).all()
    assert "w" not in constants(model)
    model.graph.output.append(make_tensor_value_info("x_uint8", TensorProto.UINT8, SHAPE))
    x = activations(2, 3)
    levels = run(model, x)[1]
    assert levels.dtype == np.uint8
    assert (np.abs(levels.astype(int) - 128).max(axis=2) == 127).all()


def test_what_follows_a_gelu_uses_the_levels_below_zero_for_values_above() -> None:
    model = model_of(
        [make_node("Gelu", ["x"], ["g"]), make_node("MatMul", ["g", "w"], ["y"])],
        {"y": ["windows", "tokens", OUTPUTS]},
        w=WEIGHT,
    )
    quantize(model)
    assert "ReduceMin" not in {node.op_type for node in model.graph.node}
    for name, type_ in (("g", TensorProto.FLOAT), ("g_uint8", TensorProto.UINT8)):
        model.graph.output.append(make_tensor_value_info(name, type_, SHAPE))
    # GELU's minimum is at -0.75. The rows' maxima are 9, about 0, and 0.
    x = np.stack([np.linspace(-4, 9, INPUTS), np.linspace(-4, 0.1, INPUTS), np.full(INPUTS, -0.75)])[None]
    y, g, levels = run(model, x.astype(np.float32))
    assert levels[0, 0].max() == 255
    assert levels.min() == 0
    scales = np.maximum(g.max(axis=2, keepdims=True) / 245, 0.017)
    assert (np.abs((levels.astype(int) - 10) * scales - g) <= scales / 2 + 1e-6).all()
    assert np.abs(y - g @ WEIGHT).max() < 0.05 * np.abs(g @ WEIGHT).max()


def test_products_of_the_same_activations_share_them() -> None:
    names = {"y": WEIGHT, "z": OTHER}
    model = model_of(
        [make_node("MatMul", ["x", f"{name}_w"], [name]) for name in names],
        {name: ["windows", "tokens", OUTPUTS] for name in names},
        **{f"{name}_w": weight for name, weight in names.items()},
    )
    quantize(model)
    operators = [node.op_type for node in model.graph.node]
    assert (operators.count("QuantizeLinear"), operators.count("MatMulIntegerToFloat")) == (1, 2)
    x = activations(1, 4)
    for found, weight in zip(run(model, x), names.values(), strict=True):
        assert np.abs(found - x @ weight).max() < 0.03 * np.abs(x @ weight).max()


def test_small_weights_and_products_of_activations_stay_fp32() -> None:
    model = model_of(
        [
            make_node("MatMul", ["x", "square"], ["y"]),
            make_node("MatMul", ["x", "head"], ["logits"]),
            make_node("Transpose", ["y"], ["t"], perm=[0, 2, 1]),
            make_node("MatMul", ["x", "t"], ["attention"]),
        ],
        {"y": SHAPE, "logits": ["windows", "tokens", 4], "attention": ["windows", "tokens", "tokens"]},
        square=SQUARE,
        head=HEAD,
    )
    quantize(model)
    assert {node.output[0] for node in model.graph.node if node.op_type == "MatMul"} == {"logits", "attention"}
    x = activations(2, 3)
    y, logits, attention = run(model, x)
    np.testing.assert_allclose(logits, x @ HEAD, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(attention, x @ y.transpose(0, 2, 1), rtol=1e-4, atol=1e-3)


def test_a_graph_without_products_stays_as_it_is() -> None:
    model = model_of([make_node("Neg", ["x"], ["y"])], {"y": SHAPE})
    quantize(model)
    assert [node.op_type for node in model.graph.node] == ["Neg"]
    assert not model.graph.initializer


def test_an_older_opset_is_rejected() -> None:
    with pytest.raises(ValueError, match="the graph has opset 20: export it with opset 21 or a later one"):
        quantize(product(opset=20))


def test_only_tables_of_embeddings_are_quantized_each_row_with_its_scale() -> None:
    rows = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32) * np.array([[1e-3], [1], [0], [9], [1]], "f")
    tables = {"words": rows, "order": np.arange(5)[::-1].copy()}
    lookups = [("order", "ids", "turned"), ("words", "turned", "first"), ("words", "ids", "second")]
    graph = make_graph(
        [
            *(make_node("Gather", [table, ids], [found]) for table, ids, found in lookups),
            make_node("Gather", ["words", "ids"], ["columns"], axis=1),
        ],
        "lookups",
        [make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
        [make_tensor_value_info(n, TensorProto.FLOAT, ["tokens", 8]) for n in ("first", "second")]
        + [make_tensor_value_info("columns", TensorProto.FLOAT, [5, "tokens"])],
        [from_array(table, name) for name, table in tables.items()],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", OPSET)], ir_version=10)
    quantize(model)
    first, second, columns = InferenceSession(model.SerializeToString()).run(None, {"ids": np.arange(5)})
    for found, expected in ((first, rows[::-1]), (second, rows)):
        assert (np.abs(found - expected) <= np.abs(expected).max(axis=1, keepdims=True) / 253).all()
    assert (columns == rows[:, :5]).all()
    kept = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    int8, fp32, int64 = TensorProto.INT8, TensorProto.FLOAT, TensorProto.INT64
    assert kept == {"words_int8": int8, "words_scales": fp32, "words": fp32, "order": int64}
