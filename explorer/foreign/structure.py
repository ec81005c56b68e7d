"""What an ONNX file says it is, read before any of it runs: inputs, outputs, weights, operators. Nothing is believed.

Refused are files that need others beside them, that loop or branch, that bring operators or functions of their own,
and tensors that declare more than they hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.foreign.limits import MAX_FILE_BYTES, MAX_NODES

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

STANDARD = ("", "ai.onnx")  # domains of operators
FLOATS: dict[str, type[np.floating]] = {"FLOAT": np.float32, "FLOAT16": np.float16, "DOUBLE": np.float64}
INTEGERS = {"INT64": 8, "INT32": 4, "INT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1}
SIZES = {**INTEGERS, **{name: np.dtype(kind).itemsize for name, kind in FLOATS.items()}}
TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


@dataclass(frozen=True)
class Port:
    """An input or an output. shape: None where a size is left open."""

    name: str
    dtype: type[np.floating]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"[{', '.join('N' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Graph:
    """A file that may be run. parameters: how many weights it holds; opset: of the standard operators."""

    what: str
    content: bytes
    input: Port
    outputs: tuple[Port, ...]
    parameters: int
    opset: int
    operators: tuple[str, ...]


def read(content: bytes, *, what: str) -> Graph:
    """The file's structure; what names it in messages ("decoder"). Raises ValueError, in one sentence."""
    import onnx
    from google.protobuf.message import DecodeError

    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"The {what} has {len(content):,} bytes, at most {MAX_FILE_BYTES:,} may be brought")
    try:
        model = onnx.load_model_from_string(content)
        return checked(model, content, what)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The {what} is not a whole ONNX file: it is of another kind, or cut off") from error


def checked(model: ModelProto, content: bytes, what: str) -> Graph:
    graph = model.graph
    if not graph.node or not graph.output:
        raise ValueError(f"The {what} is not an ONNX model: it has no operators or no outputs")
    check_operators(model, what)
    parameters = sum(check_tensor(tensor, what) for tensor in tensors(graph))
    if graph.sparse_initializer:
        raise ValueError(f"The {what} has sparse weights: export it with dense ones")
    held = {tensor.name for tensor in graph.initializer}
    inputs = [port(value, f"{what}'s input") for value in graph.input if value.name not in held]
    if len(inputs) != 1:
        raise ValueError(f"The {what} must have one input, it has {len(inputs)}")
    outputs = tuple(port(value, f"{what}'s output") for value in graph.output)
    opset = max((one.version for one in model.opset_import if one.domain in STANDARD), default=1)
    return Graph(what, content, inputs[0], outputs, parameters, opset, tuple(node.op_type for node in graph.node))


def check_operators(model: ModelProto, what: str) -> None:
    if model.functions:
        raise ValueError(f"The {what} brings functions of its own: export it with its functions inlined")
    if len(model.graph.node) > MAX_NODES:
        raise ValueError(f"The {what} has {len(model.graph.node):,} operators, at most {MAX_NODES:,} may be")
    for node in model.graph.node:
        name = f"{node.op_type:.40}"
        if node.domain not in STANDARD:
            raise ValueError(
                f"The {what} needs the operator {name!r} of {node.domain[:40]!r}: only standard ONNX operators are run"
            )
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ValueError(f"The {what} has a loop or a branch ({name!r}): export it as a plain chain of operators")


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """All constants: initialisers, and those in operators' attributes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from of_attribute(attribute)


def of_attribute(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
        raise ValueError("It has sparse constants: export it with dense ones")
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def check_tensor(tensor: TensorProto, what: str) -> int:
    """How many weights it is; 0 for whole numbers. Raises ValueError unless the file holds what it declares."""
    from onnx import TensorProto as Kinds

    name = f"{tensor.name[:40]!r}"
    if tensor.data_location == Kinds.EXTERNAL or tensor.external_data:
        raise ValueError(
            f"The {what} keeps {name} in another file: save it with all its weights in one "
            "(onnx.save with save_as_external_data=False)"
        )
    kind = Kinds.DataType.Name(tensor.data_type) if tensor.data_type in Kinds.DataType.values() else "unknown"
    if kind not in SIZES:
        raise ValueError(f"The {what} holds {name} as {kind}: float, float16, double or whole numbers were expected")
    declared = math.prod(tensor.dims)
    there = len(tensor.raw_data) // SIZES[kind] if tensor.raw_data else sum(len(getattr(tensor, f)) for f in TYPED)
    if any(size < 0 for size in tensor.dims) or declared != there:
        shape = [*tensor.dims][:8]
        raise ValueError(f"The {what} declares {name} as {shape}, {declared:,} numbers, but holds {there:,}")
    return declared if kind in FLOATS else 0


def port(value: ValueInfoProto, what: str) -> Port:
    from onnx import TensorProto as Kinds

    tensor = value.type.tensor_type
    kind = Kinds.DataType.Name(tensor.elem_type) if tensor.elem_type in Kinds.DataType.values() else "unknown"
    if kind not in FLOATS:
        raise ValueError(f"The {what} is of the kind {kind}: float, float16 or double was expected")
    sizes = tuple(axis.dim_value if axis.dim_value > 0 else None for axis in tensor.shape.dim)
    return Port(value.name, FLOATS[kind], sizes)
