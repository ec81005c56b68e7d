"""Models as ONNX: a graph computes what torch does with the same weights; what is no such model is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from explorer import models
from explorer.foreign import live, structure
from explorer.foreign.limits import MAX_FILE_BYTES, MAX_NODES
from explorer.foreign.network import Decoder, Encoder
from explorer.models import AE
from tests.onnx_files import chain, decoder_bytes, encoder_bytes, graph_bytes

D = 3
GREY, COLOUR = (1, 8, 8), (3, 8, 12)
EQUAL = 1e-5


def model_of(kind: str = "vae", arch: str = "mlp", shape: tuple[int, int, int] = GREY) -> AE:
    model = models.build(kind, seed=1, image_shape=shape, latent_dim=D, arch=arch, hidden=(8, 6))
    return model.eval().requires_grad_(False)


MODEL = model_of()
PLAIN = decoder_bytes(MODEL)


def decoder_of(content: bytes, *, shape: tuple[int, int, int] = GREY, units: str = "unit") -> Decoder:
    return Decoder(structure.read(content, what="decoder"), image_shape=shape, units=units)


def encoder_of(content: bytes, *, kind: str = "vae", units: str = "unit") -> Encoder:
    graph = structure.read(content, what="encoder")
    return Encoder(graph, image_shape=GREY, latent_dim=D, kind=kind, units=units)


def codes(n: int = 70) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, D), scale=3).astype(np.float32)


def items(n: int = 5) -> np.ndarray:
    return np.random.default_rng(1).random((n, *GREY), np.float32)


def by_torch(model: AE, z: np.ndarray) -> np.ndarray:
    return model.decode(torch.from_numpy(z)).numpy()


def shaped(*target: int) -> dict[str, Any]:
    """The decoder with items reshaped to target at its end."""
    nodes, weights, at = chain(MODEL.decoder, start="z")
    weights["target"] = np.array(target, np.int64)
    ends = [helper.make_node("Sigmoid", [at], ["p"]), helper.make_node("Reshape", ["p", "target"], ["x_hat"])]
    return {"nodes": [*nodes, *ends], "weights": weights, "outputs": {"x_hat": ["N", *target[1:]]}}


# ---- what is computed


@pytest.mark.parametrize("batch", ["N", 1, 7])
@pytest.mark.parametrize(("arch", "shape"), [("mlp", GREY), ("conv", COLOUR)])
def test_a_decoder_gives_the_images_of_the_torch_model_with_its_weights(arch: str, shape: Any, batch: Any) -> None:
    model = model_of(arch=arch, shape=shape)
    found = decoder_of(decoder_bytes(model, batch=batch, odd=True), shape=shape)(codes())
    np.testing.assert_allclose(found, by_torch(model, codes()), atol=EQUAL)


def test_values_of_other_units_are_brought_to_0_to_1() -> None:
    from_logits = decoder_of(decoder_bytes(MODEL, sigmoid=False), units="logits")
    np.testing.assert_allclose(from_logits(codes()), by_torch(MODEL, codes()), atol=EQUAL)
    raw = from_logits.raw(codes())
    for units, line in {"signed": lambda x: (x + 1) / 2, "bytes": lambda x: x / 255, "cut": lambda x: x}.items():
        found = decoder_of(decoder_bytes(MODEL, sigmoid=False), units=units)(codes())
        np.testing.assert_allclose(found, np.clip(line(raw), 0, 1), atol=EQUAL)


@pytest.mark.parametrize("target", [(-1, 64), (-1, 8, 8), (-1, 8, 8, 1)])
def test_items_may_be_flat_or_have_their_channels_last_or_none(target: tuple[int, ...]) -> None:
    found = decoder_of(graph_bytes(**shaped(*target), inputs={"z": ["N", D]}))
    np.testing.assert_allclose(found(codes()), by_torch(MODEL, codes()), atol=EQUAL)


def test_a_code_may_be_a_stack_of_single_pixels_and_a_graph_without_a_batch_axis_is_asked_one_by_one() -> None:
    whole = shaped(1, 64)
    start = helper.make_node("Reshape", ["c", "flat"], ["z"])
    weights = {**whole["weights"], "flat": np.array([-1, D], np.int64)}
    for shape in (["N", D, 1, 1], [D]):
        parts = {**whole, "nodes": [start, *whole["nodes"]], "weights": weights, "outputs": {"x_hat": [None, 64]}}
        if shape != [D]:
            parts["weights"] = {**weights, "target": np.array([-1, 64], np.int64)}
        found = decoder_of(graph_bytes(**parts, inputs={"c": shape}))
        np.testing.assert_allclose(found(codes(5)), by_torch(MODEL, codes(5)), atol=EQUAL)


@pytest.mark.parametrize(("kind", "to"), [(TensorProto.DOUBLE, np.float64), (TensorProto.FLOAT16, np.float16)])
def test_doubles_and_halves_are_taken(kind: int, to: type) -> None:
    nodes, weights, at = chain(MODEL.decoder, start="z")
    weights = {k: v.astype(to) if v.dtype == np.float32 else v for k, v in weights.items()}
    nodes.append(helper.make_node("Sigmoid", [at], ["x_hat"]))
    content = graph_bytes(nodes, weights, inputs={"z": ["N", D]}, outputs={"x_hat": ["N", *GREY]}, kind=kind)
    np.testing.assert_allclose(
        decoder_of(content)(codes()), by_torch(MODEL, codes()), atol=1e-2 if to == np.float16 else EQUAL
    )


def test_an_encoder_gives_mu_and_logvar_from_one_output_or_two_and_a_swapped_pair_is_told_by_its_names() -> None:
    mu, logvar = (part.numpy() for part in MODEL.posterior(torch.from_numpy(items())))  # type: ignore[operator]
    two = encoder_bytes(MODEL, split=True)
    swapped = ModelProto.FromString(two)
    split = swapped.graph.node[-1]
    split.output[:] = ["logvar", "mu"]  # the first half now bears the name logvar
    swapped.graph.output[0].name, swapped.graph.output[1].name = "logvar", "mu"
    for content, first, second in (
        (encoder_bytes(MODEL), mu, logvar),
        (two, mu, logvar),
        (swapped.SerializeToString(), logvar, mu),
    ):
        encoder = encoder_of(content)
        found = encoder(items())
        np.testing.assert_allclose(found[0], first, atol=EQUAL)
        np.testing.assert_allclose(found[1], second, atol=EQUAL)  # type: ignore[arg-type]
    assert "logvar, mu" in encoder.check(items())


def test_an_ae_has_a_code_alone() -> None:
    model = model_of("ae")
    encoder = encoder_of(encoder_bytes(model), kind="ae")
    assert encoder.check(items()) == "The encoder gives 3 numbers: the code."
    np.testing.assert_allclose(encoder(items())[0], model.encode(torch.from_numpy(items())), atol=EQUAL)
    with pytest.raises(ValueError, match="for an AE of 3 dimensions they must be 3, the code"):
        encoder_of(encoder_bytes(MODEL), kind="ae").check(items())
    with pytest.raises(ValueError, match="for a VAE of 3 dimensions they must be 6, mu and logvar"):
        encoder_of(encoder_bytes(model)).check(items())


# ---- what is live


@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize(("arch", "shape"), [("mlp", GREY), ("conv", COLOUR)])
def test_a_plain_chain_becomes_the_layers_that_the_browser_runs(arch: str, shape: Any, sigmoid: bool) -> None:
    model = model_of(arch=arch, shape=shape)
    units = "unit" if sigmoid else "logits"
    found = live.layers_of(decoder_of(decoder_bytes(model, sigmoid=sigmoid), shape=shape, units=units), units)
    assert found
    layers, weights = found
    theirs = [layer for layer in model.decoder if any(True for _ in layer.parameters())]
    mine = [layer for layer in layers if "weight" in layer]
    for layer, known in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(weights[str(layer["weight"])], known.weight)
        np.testing.assert_array_equal(weights[str(layer["bias"])], known.bias)
    assert layers[-1] == {"kind": "sigmoid"}


def test_a_product_and_a_sum_are_a_layer_too() -> None:
    w = np.random.default_rng(0).normal(size=(D, 64)).astype(np.float32)
    b = np.linspace(-1, 1, 64, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["m"]),
        helper.make_node("Add", ["b", "m"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["x_hat"]),
    ]
    decoder = decoder_of(graph_bytes(nodes, {"w": w, "b": b}, inputs={"z": ["N", D]}, outputs={"x_hat": ["N", 64]}))
    found = live.layers_of(decoder, "unit")
    assert found
    np.testing.assert_array_equal(found[1]["0.weight"], w.T)
    np.testing.assert_array_equal(found[1]["0.bias"], b)


def test_what_is_no_plain_chain_stays_on_the_server() -> None:
    assert live.layers_of(decoder_of(decoder_bytes(MODEL, odd=True)), "unit") is None
    assert live.layers_of(decoder_of(PLAIN, units="signed"), "signed") is None
    assert live.layers_of(decoder_of(graph_bytes(**shaped(-1, 8, 8, 1), inputs={"z": ["N", D]})), "unit") is None
    assert live.layers_of(decoder_of(decoder_bytes(MODEL, sigmoid=False), units="unit"), "unit") is None


# ---- what is refused


def one_node(op: str, *names: str, weights: dict[str, np.ndarray] | None = None, **options: Any) -> bytes:
    """z -> one operator -> 64 values."""
    node = helper.make_node(op, [*names], ["x_hat"], **options)
    return graph_bytes([node], weights or {}, inputs={"z": ["N", D]}, outputs={"x_hat": ["N", 64]})


def changed(change: Any) -> bytes:
    model = ModelProto.FromString(PLAIN)
    change(model)
    return model.SerializeToString()


def external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def huge(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**40, 2**20]


def looped() -> NodeProto:
    body = helper.make_graph([], "body", [], [])
    return helper.make_node("Loop", ["z"], ["x_hat"], body=body)


def sparse(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(SparseTensorProto())


def function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))


HOSTILE = {
    "another file": (b"PK\3\4 this is a zip", "is not a whole ONNX file"),
    "cut off": (PLAIN[:-100], "is not a whole ONNX file|has no operators"),
    "empty": (b"", "is not an ONNX model"),
    "100 MB": (bytes(2 * MAX_FILE_BYTES), "100,000,000 bytes, at most 50,000,000"),
    "external data": (changed(external), "keeps 'w0' in another file"),
    "a huge constant": (changed(huge), "declares 'w0' as .* but holds"),
    "a negative size": (changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, -6)), "but holds"),
    "a custom operator": (one_node("Own", "z", domain="com.evil"), "only standard ONNX operators"),
    "a loop": (graph_bytes([looped()], {}, inputs={"z": ["N", D]}, outputs={"x_hat": ["N", 64]}), "a loop or a branch"),
    "functions": (changed(function), "functions of its own"),
    "sparse weights": (changed(sparse), "sparse weights"),
    "many operators": (changed(lambda m: m.graph.node.extend([m.graph.node[0]] * MAX_NODES)), "at most 2,000"),
    "text": (changed(lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING)), "as STRING"),
    "two inputs": (
        changed(lambda m: m.graph.input.append(helper.make_tensor_value_info("y", 1, ["N", 2]))),
        "one input",
    ),
    "two outputs": (changed(lambda m: m.graph.output.append(m.graph.output[0])), "one output, it has 2"),
    "whole numbers in": (
        changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7)),
        "of the kind INT64",
    ),
    "no dimensions": (
        changed(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        "does not say how many",
    ),
    "open dimensions": (
        changed(lambda m: m.graph.input[0].type.tensor_type.shape.dim[1].Clear()),
        "does not say how many",
    ),
    "an unknown operator": (one_node("NoSuchThing", "z"), "does not load: "),
    "a later version": (
        changed(lambda m: setattr(m, "ir_version", 99)),
        "does not load: Unsupported model IR version: 99",
    ),
    "many dimensions": (
        graph_bytes(
            [helper.make_node("Sigmoid", ["z"], ["x_hat"])], {}, inputs={"z": ["N", 300]}, outputs={"x_hat": ["N", 300]}
        ),
        "takes 300 latent dimensions, at most 256",
    ),
    "wrong shape": (one_node("Sigmoid", "z"), r"gives \[N, 3\]; for this data set it must be \[N, 1, 8, 8\]"),
    "no batch of its own": (
        graph_bytes(**{**shaped(1, -1), "outputs": {"x_hat": [1, None]}}, inputs={"z": ["N", D]}),
        "the first axis must count the items",
    ),
    "logits": (decoder_bytes(MODEL, sigmoid=False), "not 0 to 1: choose what its values are"),
    "no numbers": (
        changed(lambda m: setattr(m.graph.initializer[0], "raw_data", b"\xff" * len(m.graph.initializer[0].raw_data))),
        "not finite",
    ),
    "chance": (
        graph_bytes(
            [
                helper.make_node("RandomUniform", [], ["x_hat"], shape=[64, 64]),
                helper.make_node("Identity", ["z"], ["y"]),
            ],
            {},
            inputs={"z": [64, D]},
            outputs={"x_hat": [64, 64]},
        ),
        "another answer each time",
    ),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_cannot_be_shown_is_refused_in_a_sentence_that_says_why(name: str) -> None:
    content, right = HOSTILE[name]
    with pytest.raises(ValueError, match=right) as refusal:
        decoder_of(content).check(codes(64))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_an_encoder_that_draws_its_code_is_refused() -> None:
    nodes, weights, at = chain(model_of("ae").encoder, start="x")
    nodes += [helper.make_node("RandomNormalLike", [at], ["e"]), helper.make_node("Add", [at, "e"], ["z"])]
    content = graph_bytes(nodes, weights, inputs={"x": ["N", *GREY]}, outputs={"z": ["N", D]})
    with pytest.raises(ValueError, match="export mu and logvar, not a sample"):
        encoder_of(content, kind="ae").check(items())


def test_an_encoder_of_other_images_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(ValueError, match=r"takes \[N, 3, 8, 12\]; for this data set it must be \[N, 1, 8, 8\] or"):
        encoder_of(encoder_bytes(model_of(shape=COLOUR)))


@settings(max_examples=100)
@given(st.data())
def test_a_file_with_changed_bytes_is_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    content = bytearray(PLAIN)
    for at in data.draw(st.lists(st.integers(0, len(PLAIN) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(PLAIN)))
    with contextlib.suppress(ValueError):  # anything else, or an end of the process, fails
        found = structure.read(bytes(content[:cut]), what="decoder")
        assert found.parameters * 2 <= len(PLAIN)
