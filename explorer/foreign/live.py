"""A decoder that is a plain chain, as the layers that the browser runs: then it is live like any other.

That is what exporters make of a usual decoder: Gemm, or MatMul and Add, Relu, shapes, ConvTranspose, a Sigmoid at the
end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.foreign.network import Decoder, sigmoid
from explorer.foreign.structure import Graph

if TYPE_CHECKING:
    from onnx import NodeProto

EQUAL = 1e-5  # how near its images must be to onnxruntime's
MAX_PRODUCTS = 20_000_000  # of one image: about 20 ms in a browser
MAX_VALUES = 200_000  # between two layers
UNSOUND = (IndexError, KeyError, TypeError, ValueError)  # of options that no exporter writes
SHAPES = ("Flatten", "Reshape", "Unsqueeze", "Squeeze", "Identity")
FAR = 4.0  # codes are compared there too

Arrays = dict[str, np.ndarray]


class NotPlain(Exception):
    """The graph is no such chain. Nobody has to know why: the server decodes it."""


@dataclass
class Chain:
    """Layers as explorer.atlas.decoder_layers has them, their weights, the shape of what comes out, and the work."""

    shape: tuple[int, ...]
    layers: list[dict[str, object]] = field(default_factory=list)
    weights: Arrays = field(default_factory=dict)
    products: int = 0

    def learned(self, kind: str, weight: np.ndarray, bias: np.ndarray, **more: object) -> None:
        names = {name: f"{len(self.layers)}.{name}" for name in ("weight", "bias")}
        self.weights |= {names["weight"]: weight.astype(np.float32), names["bias"]: bias.astype(np.float32)}
        self.layers.append({"kind": kind, **names, **more})


def layers_of(decoder: Decoder, units: str) -> tuple[tuple[dict[str, object], ...], Arrays] | None:
    """The decoder's layers for the browser and their weights, if it is such a chain and gives the same images."""
    try:
        chain = read(decoder.session.graph, ends_in_sigmoid=units == "unit")
    except (NotPlain, *UNSOUND):
        return None
    if units not in ("unit", "logits"):
        return None
    z = np.random.default_rng(0).standard_normal((64, decoder.latent_dim)).astype(np.float32)
    z[32:] *= FAR
    mine = sigmoid(run(chain, z)).reshape(len(z), -1)
    if not np.allclose(mine, decoder(z).reshape(len(z), -1), rtol=0, atol=EQUAL):
        return None
    return (*chain.layers, {"kind": "sigmoid"}), chain.weights


def read(graph: Graph, *, ends_in_sigmoid: bool) -> Chain:
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(graph.content).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.initializer}
    chain, at = Chain(graph.input.shape[1:]), graph.input.name  # type: ignore[arg-type]
    nodes = []
    for node in model.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        else:
            nodes.append(node)
    if len(graph.input.shape) < 2 or not nodes or (nodes[-1].op_type == "Sigmoid") != ends_in_sigmoid:
        raise NotPlain
    for node in nodes[:-1] if ends_in_sigmoid else nodes:
        given = [name for name in node.input if name]
        if given.count(at) != 1 or any(name not in constants for name in given if name != at):
            raise NotPlain
        add(chain, node, at, [constants[name] for name in given if name != at])
        at = node.output[0]
        if chain.products > MAX_PRODUCTS or math.prod(chain.shape) > MAX_VALUES:
            raise NotPlain
    if nodes[-1].output[0] != graph.outputs[0].name or (ends_in_sigmoid and list(nodes[-1].input) != [at]):
        raise NotPlain
    if not chain.layers or chain.layers[0]["kind"] != "linear":
        raise NotPlain
    return chain


def add(chain: Chain, node: NodeProto, at: str, constants: list[np.ndarray]) -> None:
    """One more operator. Raises NotPlain for what the browser has no layer for."""
    from onnx import helper

    options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Relu":
        chain.layers.append({"kind": "relu"})
    elif node.op_type in SHAPES:
        reshape(chain, node.op_type, options, constants)
    elif node.op_type in ("Gemm", "MatMul") and node.input[0] == at and constants:
        multiply(chain, options, constants)
    elif node.op_type == "Add" and chain.layers and chain.layers[-1]["kind"] == "linear":
        name = str(chain.layers[-1]["bias"])
        chain.weights[name] = chain.weights[name] + as_bias(constants[0], len(chain.weights[name]))
    elif node.op_type == "ConvTranspose" and len(chain.shape) == 3 and node.input[0] == at and constants:
        transpose(chain, options, constants)
    else:
        raise NotPlain


def reshape(chain: Chain, kind: str, options: dict[str, Any], constants: list[np.ndarray]) -> None:
    """The shape of an item after an operator that moves none of its values."""
    size = math.prod(chain.shape)
    if kind == "Flatten":
        chain.shape = (size,)
    elif kind == "Reshape":
        sizes = [int(n) for n in constants[0].ravel()[1:]] if constants else [0]
        open_ones, known = sizes.count(-1), math.prod(n for n in sizes if n != -1)
        if open_ones > 1 or known < 1 or (open_ones and size % known) or (not open_ones and known != size):
            raise NotPlain
        chain.shape = tuple(size // known if n == -1 else n for n in sizes)
    elif kind in ("Unsqueeze", "Squeeze"):
        axes = sorted(int(axis) for axis in (constants[0].ravel() if constants else options.get("axes", [])))
        if not axes or axes[0] < 1:
            raise NotPlain
        shape = list(chain.shape)
        for axis in axes if kind == "Unsqueeze" else axes[::-1]:
            if kind == "Unsqueeze":
                shape.insert(axis - 1, 1)
            elif axis - 1 < len(shape) and shape[axis - 1] == 1:
                del shape[axis - 1]
        chain.shape = tuple(shape)
    if len(chain.shape) == 3:
        chain.layers.append({"kind": "unflatten", "shape": list(chain.shape)})


def multiply(chain: Chain, options: dict[str, Any], constants: list[np.ndarray]) -> None:
    w = constants[0] if options.get("transB") else constants[0].T
    plain = options.get("alpha", 1.0) == 1.0 == options.get("beta", 1.0) and not options.get("transA")
    if not plain or w.ndim != 2 or len(chain.shape) != 1 or w.shape[1] != chain.shape[0]:
        raise NotPlain
    bias = as_bias(constants[1], len(w)) if len(constants) > 1 else np.zeros(len(w))
    chain.learned("linear", np.ascontiguousarray(w), bias)
    chain.shape, chain.products = (len(w),), chain.products + w.size


def as_bias(values: np.ndarray, size: int) -> np.ndarray:
    if values.size not in (1, size) or values.ndim > 2 or (values.ndim == 2 and len(values) != 1):
        raise NotPlain
    return np.broadcast_to(values.ravel(), size)


def transpose(chain: Chain, options: dict[str, Any], constants: list[np.ndarray]) -> None:
    w = constants[0]
    strides, pads = options.get("strides", [1, 1]), options.get("pads", [0] * 4)
    more = options.get("output_padding", [0, 0])
    plain = (
        w.ndim == 4
        and w.shape[2] == w.shape[3]
        and w.shape[0] == chain.shape[0]
        and len({*strides}) == len({*pads}) == len({*more}) == 1
        and options.get("group", 1) == 1
        and {*options.get("dilations", [1])} == {1}
        and options.get("auto_pad", b"NOTSET") == b"NOTSET"
        and "output_shape" not in options
    )
    if not plain:
        raise NotPlain
    (_, outputs, side, _), stride, padding = w.shape, int(strides[0]), int(pads[0])
    bias = constants[1] if len(constants) > 1 else np.zeros(outputs)
    chain.products += w.size * math.prod(chain.shape[1:])
    chain.learned("conv_transpose", w, bias, stride=stride, padding=padding, output_padding=int(more[0]))
    high, wide = ((n - 1) * stride + side - 2 * padding + int(more[0]) for n in chain.shape[1:])
    chain.shape = (outputs, high, wide)
    if min(chain.shape) < 1:
        raise NotPlain


def run(chain: Chain, z: np.ndarray) -> np.ndarray:
    """What the browser makes of z [n, latent_dim], before the sigmoid: float64 [n, values]."""
    x: np.ndarray = z.astype(np.float64)
    shape: tuple[int, ...] = z.shape[1:]
    for layer in chain.layers:
        w, bias = (chain.weights.get(str(layer.get(name))) for name in ("weight", "bias"))
        if layer["kind"] == "relu":
            x = x.clip(min=0)
        elif layer["kind"] == "unflatten":
            shape = tuple(layer["shape"])  # type: ignore[arg-type]
        elif layer["kind"] == "linear":
            assert w is not None
            assert bias is not None
            x, shape = x @ w.T.astype(np.float64) + bias, (len(w),)
        else:
            assert w is not None
            assert bias is not None
            x, shape = spread(x.reshape(len(x), *shape), w, bias, layer)
    return x


def spread(x: np.ndarray, w: np.ndarray, bias: np.ndarray, layer: dict[str, Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    """A transposed convolution: each input value adds its kernel to the square of outputs that it reaches."""
    (n, _, height, width), side, stride, padding = x.shape, w.shape[2], layer["stride"], layer["padding"]
    more = layer["output_padding"]
    out = np.zeros((n, w.shape[1], (height - 1) * stride + side + more, (width - 1) * stride + side + more))
    for i in range(side):
        for j in range(side):
            reached = np.einsum("nchw,co->nohw", x, w[:, :, i, j].astype(np.float64))
            out[:, :, i : i + height * stride : stride, j : j + width * stride : stride][:, :, :height, :width] += (
                reached
            )
    out = out[:, :, padding : out.shape[2] - padding, padding : out.shape[3] - padding] + bias[:, None, None]
    return out.reshape(n, -1), out.shape[1:]
