"""ONNX files for tests, written node by node from the weights of models: no exporter has a say in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from explorer.models import AE

Shape = Sequence[int | str]


def graph_bytes(
    nodes: list[NodeProto],
    weights: dict[str, np.ndarray],
    *,
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    kind: int = TensorProto.FLOAT,
    extra: Sequence[TensorProto] = (),
) -> bytes:
    ports = [
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in side.items()] for side in (inputs, outputs)
    ]
    constants = [*(numpy_helper.from_array(value, name) for name, value in weights.items()), *extra]
    graph = helper.make_graph(nodes, "model", *ports, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def chain(layers: nn.Module, *, start: str) -> tuple[list[NodeProto], dict[str, np.ndarray], str]:
    """Nodes and weights for layers one after another, and the name of what comes out."""
    nodes: list[NodeProto] = []
    weights: dict[str, np.ndarray] = {}
    at = start
    for i, layer in enumerate(layers.children()):
        out, names = f"v{i}", [f"w{i}", f"b{i}"]
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            weights |= {name: value.numpy() for name, value in zip(names, (layer.weight, layer.bias))}
        if isinstance(layer, nn.Linear):
            nodes.append(helper.make_node("Gemm", [at, *names], [out], transB=1))
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kind = "Conv" if isinstance(layer, nn.Conv2d) else "ConvTranspose"
            (stride, _), (padding, _) = layer.stride, layer.padding
            nodes.append(helper.make_node(kind, [at, *names], [out], strides=[stride] * 2, pads=[padding] * 4))
        elif isinstance(layer, nn.ReLU):
            nodes.append(helper.make_node("Relu", [at], [out]))
        elif isinstance(layer, nn.Flatten):
            nodes.append(helper.make_node("Flatten", [at], [out]))
        else:
            assert isinstance(layer, nn.Unflatten)
            weights[f"s{i}"] = np.array([-1, *layer.unflattened_size], np.int64)
            nodes.append(helper.make_node("Reshape", [at, f"s{i}"], [out]))
        at = out
    return nodes, weights, at


def decoder_bytes(model: AE, *, batch: int | str = "N", sigmoid: bool = True, odd: bool = False) -> bytes:
    """z [batch, latent_dim] -> items [batch, C, H, W], or logits. odd: with an operator that no browser here has."""
    nodes, weights, at = chain(model.decoder, start="z")
    if odd:
        weights["one"] = np.ones(1, np.float32)
        nodes.append(helper.make_node("Pow", [at, "one"], ["odd"]))
        at = "odd"
    last = helper.make_node("Sigmoid" if sigmoid else "Identity", [at], ["x_hat"])
    outputs = {"x_hat": [batch, *model.image_shape]}
    return graph_bytes([*nodes, last], weights, inputs={"z": [batch, model.latent_dim]}, outputs=outputs)


def encoder_bytes(model: AE, *, split: bool = False) -> bytes:
    """x [N, C, H, W] -> the encoder's numbers in one output, or with split mu and logvar in two."""
    nodes, weights, at = chain(model.encoder, start="x")
    d, outputs = model.latent_dim, {"code": ["N", "M"]}
    if split:
        nodes.append(helper.make_node("Split", [at], ["mu", "logvar"], axis=1, num_outputs=2))
        weights["sizes"] = np.array([d, d], np.int64)
        nodes[-1] = helper.make_node("Split", [at, "sizes"], ["mu", "logvar"], axis=1)
        outputs = {"mu": ["N", d], "logvar": ["N", d]}
    else:
        nodes.append(helper.make_node("Identity", [at], ["code"]))
    return graph_bytes(nodes, weights, inputs={"x": ["N", *model.image_shape]}, outputs=outputs)


def written(folder: Path, **contents: bytes) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.onnx" for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    return paths
