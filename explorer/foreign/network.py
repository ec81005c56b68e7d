"""ONNX graphs run by onnxruntime, and what their numbers mean: codes, items in [0, 1], mu and logvar."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.files import public
from explorer.foreign.limits import MAX_CODES, MEMORY_BYTES
from explorer.foreign.structure import Graph
from explorer.settings import MAX_LATENT_DIM, ImageShape

EDGE = 1e-3  # what float16 may put outside [0, 1]
MAX_REASON = 200
# How onnxruntime begins: its name, a number, where in its C++ it was. [ONNXRuntimeError] : 1 : FAIL : a.cc:1 f() Why
RUNTIMES_OWN = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:\S+:\d+ .*?\) (?=[A-Z]))?", re.DOTALL)


@dataclass(frozen=True)
class Units:
    """What a model's numbers stand for. to: from them to [0, 1]; back: from [0, 1] to what an encoder takes."""

    title: str
    to: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


def same(x: np.ndarray) -> np.ndarray:
    return x


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # as 1 / (1 + exp(-x)), without overflow


UNITS = {
    "unit": Units("0 to 1", same, same),
    "cut": Units("0 to 1, what lies outside is cut off", lambda x: x.clip(0, 1), same),
    "signed": Units("−1 to 1", lambda x: (x + 1) / 2, lambda x: 2 * x - 1),
    "bytes": Units("0 to 255", lambda x: x / 255, lambda x: 255 * x),
    "logits": Units("logits: a sigmoid is still to come", sigmoid, same),
}


class Session:
    """A graph that can be run. Raises ValueError, in one sentence, for one that onnxruntime will not take."""

    def __init__(self, graph: Graph) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        self.graph = graph
        self.session: Any = self.try_to(
            "load", lambda: onnxruntime.InferenceSession(graph.content, options, providers=["CPUExecutionProvider"])
        )

    def try_to(self, do: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # onnxruntime's have no class of their own
            reason = " ".join(public(RUNTIMES_OWN.sub("", str(error))).split())[:MAX_REASON]
            if isinstance(error, MemoryError) or "bad_alloc" in str(error):
                reason = f"it takes more than the {MEMORY_BYTES / 1e9:g} GB of memory that one may take"
            raise ValueError(f"The {self.graph.what} does not {do}: {reason}") from error

    def run(self, values: np.ndarray) -> list[np.ndarray]:
        """The outputs for values [n, ...], each [n, ...] float32, whatever batches the graph takes.

        values: each of the shape that the graph takes. A graph without a batch axis is asked for one at a time.
        """
        port = self.graph.input
        has_batch = len(port.shape) == values.ndim
        most = (port.shape[0] or MAX_CODES) if has_batch else 1
        parts = [self.run_batch(values[i : i + most], most, has_batch) for i in range(0, len(values), most)]
        return [np.concatenate(column) for column in zip(*parts)]

    def run_batch(self, values: np.ndarray, most: int, has_batch: bool) -> list[np.ndarray]:
        port, n = self.graph.input, len(values)
        if has_batch and port.shape[0]:
            values = np.concatenate([values, np.repeat(values[-1:], most - n, axis=0)])
        given = np.ascontiguousarray(values if has_batch else values[0], dtype=port.dtype)
        outputs = self.try_to("run", lambda: self.session.run(None, {port.name: given}))
        if not all(isinstance(output, np.ndarray) and output.dtype.kind == "f" for output in outputs):
            raise ValueError(f"The {self.graph.what} gives something else than numbers")
        if not has_batch:
            return [output[None].astype(np.float32) for output in outputs]
        if any(output.ndim < 1 or len(output) != len(given) for output in outputs):
            shapes = " and ".join(str([*output.shape]) for output in outputs)
            raise ValueError(
                f"The {self.graph.what} gives {shapes} for {len(given)} items: the first axis must count the items"
            )
        return [output[:n].astype(np.float32) for output in outputs]


class Decoder:
    """z float32 [n, latent_dim] -> x_hat float32 [n, C, H, W] in [0, 1]."""

    def __init__(self, graph: Graph, *, image_shape: ImageShape, units: str) -> None:
        if len(graph.outputs) != 1:
            raise ValueError(f"The decoder must have one output, it has {len(graph.outputs)}")
        self.session, self.image_shape, self.units = Session(graph), image_shape, UNITS[units]
        self.code_shape = code_shape(graph)
        self.latent_dim = math.prod(self.code_shape)

    def raw(self, z: np.ndarray) -> np.ndarray:
        """What the graph itself gives, float32 [n, ...]."""
        return self.session.run(z.reshape(len(z), *self.code_shape))[0]

    def __call__(self, z: np.ndarray) -> np.ndarray:
        items = as_items(self.raw(z), self.image_shape)
        return self.units.to(items).clip(0, 1).astype(np.float32)

    def check(self, z: np.ndarray) -> str:
        """How its answer for z was read, in a sentence. Raises ValueError if it cannot be shown."""
        raw = self.raw(z)
        items = self.units.to(as_items(raw, self.image_shape))
        if not np.isfinite(items).all():
            raise ValueError("The decoder gives values that are not finite numbers for usual codes")
        if not -EDGE <= items.min() <= items.max() <= 1 + EDGE:
            raise ValueError(
                f"The decoder gives values from {raw.min():.3g} to {raw.max():.3g}, not {self.units.title}: "
                "choose what its values are"
            )
        if not np.array_equal(raw, self.raw(z)):
            raise ValueError("The decoder gives another answer each time it is asked: export it in evaluation mode")
        return f"The decoder takes {self.session.graph.input} and gives [N, {', '.join(map(str, raw.shape[1:]))}]."


class Encoder:
    """x float32 [n, C, H, W] in [0, 1] -> mu and logvar, float32 [n, latent_dim] each; logvar is None for an AE."""

    def __init__(self, graph: Graph, *, image_shape: ImageShape, latent_dim: int, kind: str, units: str) -> None:
        self.session, self.units = Session(graph), UNITS[units]
        self.latent_dim, self.kind = latent_dim, kind
        self.item_shape, self.is_last = item_shape(graph, image_shape)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        mu, logvar, _ = self.read(self.raw(x))
        return mu, logvar

    def raw(self, x: np.ndarray) -> list[np.ndarray]:
        items = np.moveaxis(x, 1, -1) if self.is_last else x
        outputs = self.session.run(self.units.back(items).reshape(len(x), *self.item_shape))
        return [output.reshape(len(output), -1) for output in outputs]

    def read(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None, str]:
        """mu, logvar, and in a sentence what was taken for them. Raises ValueError for what can be neither."""
        d, widths = self.latent_dim, [output.shape[1] for output in outputs]
        if self.kind == "ae" and widths == [d]:
            return outputs[0], None, f"The encoder gives {d} numbers: the code."
        if self.kind == "vae" and widths == [d, d]:
            names = [port.name for port in self.session.graph.outputs]
            swapped = "var" in names[0].lower() and "var" not in names[1].lower()
            mu, logvar = outputs[::-1] if swapped else outputs
            order = "logvar, mu" if swapped else "mu, logvar"
            return mu, logvar, f"The encoder gives two times {d} numbers: read as {order}."
        if self.kind == "vae" and widths == [2 * d]:
            return outputs[0][:, :d], outputs[0][:, d:], f"The encoder gives {2 * d} numbers: read as mu, then logvar."
        right = f"{d}, the code" if self.kind == "ae" else f"{2 * d}, mu and logvar, in one output or in two"
        raise ValueError(
            f"The encoder gives {' and '.join(map(str, widths))} numbers an item; "
            f"for {'an AE' if self.kind == 'ae' else 'a VAE'} of {d} dimensions they must be {right}"
        )

    def check(self, x: np.ndarray) -> str:
        """What its answer for x was taken for, in a sentence. Raises ValueError if it cannot be used."""
        outputs = self.raw(x)
        mu, logvar, sentence = self.read(outputs)
        if not all(np.isfinite(values).all() for values in (mu, logvar) if values is not None):
            raise ValueError("The encoder gives values that are not finite numbers for held-out items")
        if logvar is not None and not (-60 < logvar.min() <= logvar.max() < 60):
            raise ValueError(
                f"The encoder's logvar goes from {logvar.min():.3g} to {logvar.max():.3g}: no variance has that"
            )
        if not all(np.array_equal(a, b) for a, b in zip(outputs, self.raw(x))):
            raise ValueError(
                "The encoder gives another answer each time it is asked: export mu and logvar, not a sample, and in "
                "evaluation mode"
            )
        return sentence


def code_shape(graph: Graph) -> tuple[int, ...]:
    """The shape of one code as the graph takes it: what comes after the batch axis, if it has one."""
    shape = graph.input.shape
    rest = shape[1:] if len(shape) > 1 else shape
    if not rest or None in rest:
        raise ValueError(
            f"The decoder takes {graph.input}, which does not say how many latent dimensions it has: "
            "export it with a shape such as [N, 2]"
        )
    sizes = tuple(size for size in rest if size is not None)
    if math.prod(sizes) > MAX_LATENT_DIM:
        raise ValueError(f"The decoder takes {math.prod(sizes):,} latent dimensions, at most {MAX_LATENT_DIM} may be")
    return sizes


def layouts(image_shape: ImageShape) -> list[tuple[tuple[int, ...], bool]]:
    """The shapes that one item may have, and whether its channels come last."""
    channels, height, width = image_shape
    flat, plain = (channels * height * width,), [((height, width), False)] if channels == 1 else []
    return [(image_shape, False), *plain, (flat, False), ((height, width, channels), True)]


def item_shape(graph: Graph, image_shape: ImageShape) -> tuple[tuple[int, ...], bool]:
    """The shape of one item as the encoder takes it, and whether its channels come last."""
    given = graph.input.shape
    for rest in (given[1:], given):  # with a batch axis, else without
        for shape, is_last in layouts(image_shape):
            if len(rest) == len(shape) and all(size in (None, want) for size, want in zip(rest, shape)):
                return shape, is_last
    right = " or ".join(str(["N", *shape]).replace("'", "") for shape, _ in layouts(image_shape))
    raise ValueError(f"The encoder takes {graph.input}; for this data set it must be {right}")


def as_items(values: np.ndarray, image_shape: ImageShape) -> np.ndarray:
    """values [n, ...] as [n, C, H, W]. Raises ValueError if they are no items of this shape."""
    for shape, is_last in layouts(image_shape):
        if values.shape[1:] == shape:
            return np.moveaxis(values, -1, 1) if is_last else values.reshape(len(values), *image_shape)
    if values.shape[1:2] == (1,) and values.shape[2:] in dict(layouts(image_shape)):  # one item, counted once more
        return as_items(values[:, 0], image_shape)
    right = " or ".join(str(["N", *shape]).replace("'", "") for shape, _ in layouts(image_shape))
    raise ValueError(
        f"The decoder gives [N, {', '.join(map(str, values.shape[1:]))}]; for this data set it must be {right}"
    )
