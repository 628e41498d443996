"""The parts that ONNX graphs are made of: values, nodes, and constants."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from jaxgan.export.sampler import BATCH
from jaxgan.util.errors import UserError

try:
    import onnx
except ModuleNotFoundError:
    raise UserError("this needs the package onnx: pip install 'jaxgan[onnx]'") from None
from onnx import helper, numpy_helper


class Unknown(Exception):
    """ONNX has no counterpart of an operation, or of its settings."""


class Node(NamedTuple):
    """What a node of the graph gives. An axis of 1 stands for one of any size that repeats it."""

    name: str
    shape: tuple[Any, ...]  # of numbers, or symbolic


Value = Node | Array | np.ndarray  # an array is known


class Graph:
    """A graph that grows node by node."""

    def __init__(self, batched: str):
        """Makes an empty graph.

        Args:
            batched: the name of an input whose first axis is the batch.
        """
        self.batched = Node(batched, ())
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._names: dict[Any, str] = {}

    def add(
        self, kind: str, values: Sequence[Value], *shapes: tuple[Any, ...], **settings: Any
    ) -> list[Node]:
        """Adds a node with outputs of these shapes."""
        made = [Node(f"{kind}_{len(self.nodes)}_{i}", shape) for i, shape in enumerate(shapes)]
        inputs, outputs = [self._name(x) for x in values], [x.name for x in made]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **settings))
        return made

    def add_elementwise(self, kind: str, *values: Value, **settings: Any) -> Node:
        """Adds a node that repeats its inputs where need be, as NumPy does."""
        columns = zip_longest(*(reversed(x.shape) for x in values), fillvalue=1)
        shape = [next((x for x in sizes if not _is(x, 1)), 1) for sizes in columns]
        return self.add(kind, values, tuple(reversed(shape)), **settings)[0]

    def whole(self, value: Value, shape: tuple[Any, ...]) -> Value:
        """Repeats a value to the shape that it stands for."""
        if value.shape == shape:
            return value
        target: Value = integers(*(x if isinstance(x, int) else 1 for x in shape))
        symbolic = [x for x, held in zip(shape, value.shape, strict=True) if _is(held, 1)]
        if any(not isinstance(x, int) for x in symbolic):
            (batch,) = self.add("Shape", [self.batched], (1,), start=0, end=1)
            parts = [integers(x) if isinstance(x, int) else batch for x in shape]
            if any(str(x) != BATCH for x in shape if not isinstance(x, int)):
                raise Unknown
            (target,) = self.add("Concat", parts, (len(shape),), axis=0)
        return self.add("Expand", [value, target], shape)[0]

    def reshape(self, value: Value, shape: tuple[Any, ...]) -> Value:
        """Reshapes a value."""
        if value.shape == shape:
            return value
        if not isinstance(value, Node):
            return np.reshape(np.asarray(value), shape)
        sizes = [x if isinstance(x, int) else -1 for x in shape]
        if sizes.count(-1) > 1:
            raise Unknown
        return self.add("Reshape", [value, integers(*sizes)], shape)[0]

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """Changes the order of axes."""
        if not isinstance(value, Node):
            return np.transpose(np.asarray(value), order)
        if list(order) == sorted(order):
            return value
        shape = tuple(value.shape[axis] for axis in order)
        return self.add("Transpose", [value], shape, perm=list(order))[0]

    def slice(
        self, value: Value, shape: tuple[Any, ...], parts: Mapping[int, tuple[int, int, int]]
    ) -> Value:
        """Takes parts of axes: from where, to where, and by what step."""
        if not parts:
            return value
        if not isinstance(value, Node):
            cuts = [slice(None)] * value.ndim
            for axis, (start, end, step) in parts.items():
                cuts[axis] = slice(start, None if step < 0 else end, step)
            return np.asarray(value)[tuple(cuts)]
        starts, ends, steps = (integers(*column) for column in zip(*parts.values(), strict=True))
        return self.add("Slice", [value, starts, ends, integers(*parts), steps], shape)[0]

    def stack(self, values: Sequence[Value], shape: tuple[Any, ...], axis: int) -> Value:
        """Joins values of one shape along a new axis."""
        if not any(isinstance(x, Node) for x in values):
            return np.stack([np.asarray(x) for x in values], axis)
        single = (*shape[:axis], 1, *shape[axis + 1 :])
        parts = [self.reshape(x, single) for x in values]
        return self.add("Concat", parts, shape, axis=axis)[0]

    def unstack(self, value: Value, axis: int) -> list[Value]:
        """Takes a value apart along an axis of known length."""
        if not isinstance(value, Node):
            return [np.asarray(x) for x in np.moveaxis(np.asarray(value), axis, 0)]
        count = value.shape[axis]
        single = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
        parts = self.add("Split", [value, integers(*[1] * count)], *[single] * count, axis=axis)
        shape = (*value.shape[:axis], *value.shape[axis + 1 :])
        return [self.reshape(part, shape) for part in parts]

    def finish(self, value: Value, name: str) -> None:
        """Gives a value its name as an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [self._name(value)], [name]))

    def _name(self, value: Value) -> str:
        if isinstance(value, Node):
            if not value.name:  # of no numbers
                raise Unknown
            return value.name
        array = np.asarray(value, order="C")  # which keeps numbers without an axis
        digest = (array.shape, array.dtype.str, hashlib.sha256(array.data).digest())
        if digest not in self._names:  # what is used twice is kept once
            self._names[digest] = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._names[digest]))
        return self._names[digest]


def integers(*numbers: int | np.integer) -> np.ndarray:
    """Makes the int64 array by which ONNX is given shapes and axes."""
    return np.array(numbers, np.int64)


def _is(size: Any, number: int) -> bool:
    return isinstance(size, int) and size == number
