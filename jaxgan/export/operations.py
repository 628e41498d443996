"""The operations of JAX as nodes of ONNX graphs.

What does not depend on the arguments, such as the factors of batch norm, is computed at once. Of
several ways to compute something on different devices, that for any device is taken.
"""

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from jaxgan.export.graph import Graph, Node, Unknown, Value, helper, integers
from jaxgan.util.errors import UserError

# What an operation gives; its settings are `operation.params`.
Rule = Callable[[Graph, JaxprEqn, Sequence[Value]], Sequence[Value]]


def write(graph: Graph, program: ClosedJaxpr, arguments: Sequence[Value]) -> list[Value]:
    """Adds a program to a graph.

    Args:
        graph: to add nodes to.
        program: what `jax.make_jaxpr` made, for a symbolic batch.
        arguments: of the program.

    Returns:
        What the program returns.

    Raises:
        UserError: if ONNX has no counterpart of an operation.
    """
    jaxpr = program.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.constvars, program.consts, strict=True))
    values |= zip(jaxpr.invars, arguments, strict=True)

    def read(x: Any) -> Value:
        return np.asarray(x.val, _dtype(x)) if isinstance(x, Literal) else values[x]

    for operation in jaxpr.eqns:
        try:
            made = _write(graph, jaxpr, operation, [read(x) for x in operation.invars])
        except Unknown:
            raise UserError(
                f"{operation.primitive.name}, as this network uses it, cannot be exported to ONNX: "
                "export with --format stablehlo, or try jax2onnx"
            ) from None
        values |= zip(operation.outvars, made, strict=True)
    return [read(x) for x in jaxpr.outvars]


def _write(
    graph: Graph, jaxpr: Jaxpr, operation: JaxprEqn, values: Sequence[Value]
) -> Sequence[Value]:
    name, params = operation.primitive.name, operation.params
    if name == "platform_index":  # the last way is for any device
        return [np.asarray(len(params["platforms"]) - 1)]
    if name == "cond" and not isinstance(values[0], Node):
        return write(graph, params["branches"][int(values[0])], values[1:])
    if all(0 in _shape(x) for x in operation.outvars):
        return [_nothing(x) for x in operation.outvars]
    sizes = [size for x in operation.outvars for size in _shape(x)]
    known = not any(isinstance(x, Node) for x in values)
    if known and all(isinstance(size, int) for size in sizes):
        return _compute(jaxpr, operation, values)
    if name in CALLS:
        program = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
        if isinstance(program, Jaxpr):
            program = ClosedJaxpr(program, ())
        return write(graph, program, values)
    if name not in RULES:
        raise Unknown
    return RULES[name](graph, operation, values)


def _compute(jaxpr: Jaxpr, operation: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """Computes what is known, by a program of a single operation."""
    known = {
        x: value
        for x, value in zip(operation.invars, values, strict=True)
        if not isinstance(x, Literal)
    }
    alone = jaxpr.replace(
        constvars=[], invars=list(known), outvars=operation.outvars, eqns=[operation]
    )
    return jaxpr_as_fun(ClosedJaxpr(alone, ()))(*known.values())


def _elementwise(kind: str) -> Rule:
    return lambda graph, operation, values: [graph.add_elementwise(kind, *values)]


def _logical(kind: str) -> Rule:
    def rule(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
        if _dtype(operation.outvars[0]) != np.bool_:  # of integers, it is bit by bit
            raise Unknown
        return [graph.add_elementwise(kind, *values)]

    return rule


def _as_it_is(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    return values


def _not_equal(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    return [graph.add_elementwise("Not", graph.add_elementwise("Equal", *values))]


def _square(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    return [graph.add_elementwise("Mul", values[0], values[0])]


def _integer_pow(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    exponent = np.asarray(operation.params["y"], _dtype(operation.outvars[0]))
    return [graph.add_elementwise("Pow", *values, exponent)]


def _rsqrt(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    return [graph.add_elementwise("Reciprocal", graph.add_elementwise("Sqrt", *values))]


def _log1p(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    one = np.ones((), _dtype(operation.outvars[0]))
    return [graph.add_elementwise("Log", graph.add_elementwise("Add", values[0], one))]


def _expm1(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    one = np.ones((), _dtype(operation.outvars[0]))
    return [graph.add_elementwise("Sub", graph.add_elementwise("Exp", values[0]), one)]


def _round(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    if operation.params["rounding_method"] != lax.RoundingMethod.TO_NEAREST_EVEN:
        raise Unknown
    return [graph.add_elementwise("Round", *values)]


def _remainder(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    return [graph.add_elementwise("Mod", *values, fmod=1)]


def _is_finite(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = values
    either = [graph.add_elementwise(kind, x) for kind in ("IsNaN", "IsInf")]
    return [graph.add_elementwise("Not", graph.add_elementwise("Or", *either))]


def _position(kind: str) -> Rule:
    def rule(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
        (x,), (axis,) = _whole(graph, operation, values), operation.params["axes"]
        shape, dtype = _shape(operation.outvars[0]), operation.params["index_dtype"]
        (made,) = graph.add(kind, [x], shape, axis=int(axis), keepdims=0)
        return [graph.add_elementwise("Cast", made, to=helper.np_dtype_to_tensor_dtype(dtype))]

    return rule


def _clamp(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    low, x, high = values
    return [graph.add_elementwise("Min", graph.add_elementwise("Max", low, x), high)]


def _select(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    which, *cases = values
    if _dtype(operation.invars[0]) != np.bool_:
        raise Unknown
    return [graph.add_elementwise("Where", which, *reversed(cases))]


def _convert(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    dtype = _dtype(operation.outvars[0])
    if dtype.kind not in "biuf":  # bfloat16, which runtimes do not compute in, and complex numbers
        raise Unknown
    return [graph.add_elementwise("Cast", *values, to=helper.np_dtype_to_tensor_dtype(dtype))]


def _broadcast(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    shape: list[Any] = [1] * len(_shape(operation.outvars[0]))
    for axis, size in zip(operation.params["broadcast_dimensions"], values[0].shape, strict=True):
        shape[axis] = size
    return [graph.reshape(values[0], tuple(shape))]


def _reshape(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,), order = _whole(graph, operation, values), operation.params["dimensions"]
    if order is not None:
        x = graph.transpose(x, order)
    return [graph.reshape(x, _shape(operation.outvars[0]))]


def _change_axes(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    """Adds axes of 1, or removes them."""
    return [graph.reshape(_whole(graph, operation, values)[0], _shape(operation.outvars[0]))]


def _transpose(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    return [graph.transpose(values[0], operation.params["permutation"])]


def _slice(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    params, (x,) = operation.params, _whole(graph, operation, values)
    steps = params["strides"] or [1] * len(x.shape)
    limits = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    parts = {
        axis: (start, end, step)
        for axis, (start, end, step) in enumerate(limits)
        if (start, end, step) != (0, x.shape[axis], 1)
    }
    if not all(isinstance(number, int | np.integer) for part in parts.values() for number in part):
        raise Unknown
    return [graph.slice(x, _shape(operation.outvars[0]), parts)]


def _reverse(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = _whole(graph, operation, values)
    back = (-1, np.iinfo(np.int64).min, -1)
    return [graph.slice(x, x.shape, dict.fromkeys(operation.params["dimensions"], back))]


def _pad(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    before, after, within = zip(*operation.params["padding_config"], strict=True)
    x, _ = _whole(graph, operation, values)
    shape = _shape(operation.outvars[0])
    if 0 in x.shape:
        return [graph.reshape(values[1], (1,) * len(shape))]
    for axis, gap in enumerate(map(int, within)):
        if gap:  # behind each number, but not behind the last
            head, (size, *tail) = x.shape[:axis], x.shape[axis:]
            pads = [0] * (len(x.shape) + axis + 2) + [gap] + [0] * len(tail)
            spread = graph.reshape(x, (*head, size, 1, *tail))
            wide = (*head, size, 1 + gap, *tail)
            (spread,) = graph.add("Pad", [spread, integers(*pads), values[1]], wide)
            joined = graph.reshape(spread, (*head, size * (1 + gap), *tail))
            length = size * (1 + gap) - gap
            x = graph.slice(joined, (*head, length, *tail), {axis: (0, length, 1)})
    return graph.add("Pad", [x, integers(*before, *after), values[1]], shape)


def _concatenate(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    parts = [x for x in _whole(graph, operation, values) if 0 not in x.shape]
    shape = _shape(operation.outvars[0])
    return graph.add("Concat", parts, shape, axis=operation.params["dimension"])


def _split(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = _whole(graph, operation, values)
    sizes, shapes = operation.params["sizes"], [_shape(out) for out in operation.outvars]
    kept = [shape for shape in shapes if 0 not in shape]
    lengths = integers(*(size for size in sizes if size))
    made = iter(graph.add("Split", [x, lengths], *kept, axis=operation.params["axis"]))
    return [Node("", shape) if 0 in shape else next(made) for shape in shapes]


def _stack(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    axis, (out,) = operation.params["axis"], operation.outvars
    return [graph.stack(_whole(graph, operation, values), _shape(out), axis)]


def _unstack(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = _whole(graph, operation, values)
    return graph.unstack(x, operation.params["axis"])


def _tile(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = _whole(graph, operation, values)
    return graph.add("Tile", [x, integers(*operation.params["reps"])], _shape(operation.outvars[0]))


def _reduce(kind: str) -> Rule:
    def rule(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
        (x,) = _whole(graph, operation, values)
        if not operation.params["axes"]:  # which in ONNX would mean all of them
            return [x]
        axes, shape = integers(*operation.params["axes"]), _shape(operation.outvars[0])
        return graph.add(kind, [x, axes], shape, keepdims=0)

    return rule


def _cumulate(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (x,) = _whole(graph, operation, values)
    axis, reverse = np.asarray(operation.params["axis"]), int(operation.params["reverse"])
    return graph.add("CumSum", [x, axis], x.shape, reverse=reverse)


def _gather(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    """Takes rows of a table by an index each; other gathers are unknown."""
    table, rows = _whole(graph, operation, values)
    params, (out,) = operation.params, operation.outvars
    numbers, places = params["dimension_numbers"], rows.shape[:-1]
    if (
        numbers.collapsed_slice_dims != (0,)
        or numbers.start_index_map != (0,)
        or numbers.operand_batching_dims
        or numbers.offset_dims != tuple(range(len(places), len(_shape(out))))
        or params["slice_sizes"] != (1, *table.shape[1:])
    ):
        raise Unknown
    indices = graph.reshape(rows, places)
    if params["mode"] == lax.GatherScatterMode.CLIP:
        last = np.asarray(table.shape[0] - 1, _dtype(operation.invars[1]))
        low = graph.add_elementwise("Max", indices, np.zeros_like(last))
        indices = graph.add_elementwise("Min", low, last)
    return graph.add("Gather", [table, indices], _shape(out), axis=0)


def _dot(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    (summed, others), (batch, other_batch) = operation.params["dimension_numbers"]
    if any(_dtype(x) != _dtype(operation.outvars[0]) for x in operation.invars):
        raise Unknown
    a, b = _whole(graph, operation, values)
    shape = _shape(operation.outvars[0])
    last = len(a.shape) - 1
    if not batch and [*summed] == [last] and [*others] == [0] and len(b.shape) == 2:
        return graph.add("MatMul", [a, b], shape)
    letters = iter(string.ascii_lowercase)
    first = {axis: next(letters) for axis in range(len(a.shape))}
    pairs = {**dict(zip(others, summed, strict=True)), **dict(zip(other_batch, batch, strict=True))}
    second = {
        axis: first[pairs[axis]] if axis in pairs else next(letters) for axis in range(len(b.shape))
    }
    together = [first[axis] for axis in batch]
    free = [first[axis] for axis in first if axis not in (*summed, *batch)]
    free += [second[axis] for axis in second if axis not in pairs]
    sides = "".join(first.values()), "".join(second.values()), "".join(together + free)
    return graph.add("Einsum", [a, b], shape, equation="{},{}->{}".format(*sides))


def _convolve(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    params, (out,) = operation.params, operation.outvars
    if not isinstance(params["feature_group_count"], int):  # a kernel for each of a batch
        raise Unknown
    images, kernel = _whole(graph, operation, values)
    order, order_of_kernel, order_of_outputs = params["dimension_numbers"]
    x, kernel = graph.transpose(images, order), graph.transpose(kernel, order_of_kernel)
    taps, groups = kernel.shape[2:], params["feature_group_count"]
    before, after = zip(*params["padding"], strict=True)
    spread, strides, gaps = (
        params["lhs_dilation"],
        params["window_strides"],
        params["rhs_dilation"],
    )
    settings: dict[str, Any] = {"group": groups, "dilations": [*gaps]}
    if all(size == 1 for size in spread):
        kind, settings["strides"] = "Conv", [*strides]
    else:  # the adjoint of a convolution, whose kernel is the mirror image
        if groups > 1 or any(size > 1 for size in (*strides, *gaps)):
            raise Unknown
        kind, settings["strides"] = "ConvTranspose", [*spread]
        back = (-1, np.iinfo(np.int64).min, -1)
        mirrored = graph.slice(kernel, kernel.shape, {axis + 2: back for axis in range(len(taps))})
        kernel = graph.transpose(mirrored, (1, 0, *range(2, 2 + len(taps))))
        before = [tap - 1 - pad for tap, pad in zip(taps, before, strict=True)]
        after = [tap - 1 - pad for tap, pad in zip(taps, after, strict=True)]
        settings["output_padding"] = [max(0, -pad) for pad in after]
        after = [max(0, pad) for pad in after]
        if any(more >= step for more, step in zip(settings["output_padding"], spread, strict=True)):
            raise Unknown
    if params["batch_group_count"] > 1 or min(*before, *after) < 0:
        raise Unknown
    shape = tuple(_shape(out)[axis] for axis in order_of_outputs)
    (made,) = graph.add(kind, [x, kernel], shape, pads=[*before, *after], **settings)
    return [graph.transpose(made, np.argsort(order_of_outputs).tolist())]


def _scan(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    """Writes each round of a loop of known length."""
    params, count = operation.params, operation.params["num_carry"]
    if not isinstance(params["length"], int):
        raise Unknown
    before = params["num_consts"]
    constants, carry = values[:before], values[before : before + count]
    rows = [
        graph.unstack(graph.whole(x, _shape(variable)), 0)
        for x, variable in zip(
            values[before + count :], operation.invars[before + count :], strict=True
        )
    ]
    rounds = range(params["length"])
    made: list[Sequence[Value]] = []
    for k in reversed(rounds) if params["reverse"] else rounds:
        results = write(graph, params["jaxpr"], [*constants, *carry, *(row[k] for row in rows)])
        carry = results[:count]
        made.append(results[count:])
    if params["reverse"]:
        made.reverse()
    variables = operation.outvars[count:]
    if not made:
        return [*carry, *(_nothing(out) for out in variables)]
    stacked = [
        graph.stack([graph.whole(x, _shape(out)[1:]) for x in column], _shape(out), 0)
        for column, out in zip(zip(*made, strict=True), variables, strict=True)
    ]
    return [*carry, *stacked]


def _nothing(variable: Any) -> Value:
    """What has no numbers: known, or, for a batch, only ever joined with something else."""
    shape = _shape(variable)
    is_known = all(isinstance(size, int) for size in shape)
    return np.zeros(shape, _dtype(variable)) if is_known else Node("", shape)


def _whole(graph: Graph, operation: JaxprEqn, values: Sequence[Value]) -> Sequence[Value]:
    """The values of an operation that does not repeat them by itself."""
    return [
        x if isinstance(x, Node) and not x.name else graph.whole(x, _shape(variable))
        for x, variable in zip(values, operation.invars, strict=True)
    ]


def _shape(variable: Any) -> tuple[Any, ...]:
    return variable.aval.shape


def _dtype(variable: Any) -> np.dtype:
    return variable.aval.dtype


CALLS = {"jit", "custom_jvp_call", "custom_vjp_call", "remat2"}  # of programs within programs
RULES: dict[str, Rule] = {
    "abs": _elementwise("Abs"),
    "add": _elementwise("Add"),
    "add_any": _elementwise("Add"),
    "acos": _elementwise("Acos"),
    "and": _logical("And"),
    "argmax": _position("ArgMax"),
    "argmin": _position("ArgMin"),
    "asin": _elementwise("Asin"),
    "atan": _elementwise("Atan"),
    "broadcast_in_dim": _broadcast,
    "ceil": _elementwise("Ceil"),
    "clamp": _clamp,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolve,
    "convert_element_type": _convert,
    "copy": _as_it_is,
    "cos": _elementwise("Cos"),
    "cosh": _elementwise("Cosh"),
    "cumsum": _cumulate,
    "div": _elementwise("Div"),
    "dot_general": _dot,
    "eq": _elementwise("Equal"),
    "erf": _elementwise("Erf"),
    "exp": _elementwise("Exp"),
    "expand_dims": _change_axes,
    "expm1": _expm1,
    "floor": _elementwise("Floor"),
    "gather": _gather,
    "ge": _elementwise("GreaterOrEqual"),
    "gt": _elementwise("Greater"),
    "integer_pow": _integer_pow,
    "is_finite": _is_finite,
    "le": _elementwise("LessOrEqual"),
    "log": _elementwise("Log"),
    "log1p": _log1p,
    "logistic": _elementwise("Sigmoid"),
    "lt": _elementwise("Less"),
    "max": _elementwise("Max"),
    "min": _elementwise("Min"),
    "mul": _elementwise("Mul"),
    "ne": _not_equal,
    "neg": _elementwise("Neg"),
    "not": _logical("Not"),
    "or": _logical("Or"),
    "pad": _pad,
    "pow": _elementwise("Pow"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_sum": _reduce("ReduceSum"),
    "rem": _remainder,
    "reshape": _reshape,
    "rev": _reverse,
    "round": _round,
    "rsqrt": _rsqrt,
    "scan": _scan,
    "select_n": _select,
    "sign": _elementwise("Sign"),
    "sin": _elementwise("Sin"),
    "sinh": _elementwise("Sinh"),
    "slice": _slice,
    "split": _split,
    "sqrt": _elementwise("Sqrt"),
    "square": _square,
    "squeeze": _change_axes,
    "stack": _stack,
    "stop_gradient": _as_it_is,
    "sub": _elementwise("Sub"),
    "tan": _elementwise("Tan"),
    "tanh": _elementwise("Tanh"),
    "tile": _tile,
    "transpose": _transpose,
    "unstack": _unstack,
}
