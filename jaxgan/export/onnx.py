"""ONNX: a graph that ONNX Runtime and others run, also where there is no Python."""

import json
from collections.abc import Mapping

import jax
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from jaxgan.export import operations
from jaxgan.export.files import Format
from jaxgan.export.graph import Graph, Node, onnx
from jaxgan.export.sampler import BATCH, Sampler, symbolic_shapes
from jaxgan.util.errors import UserError

OPSET, IR_VERSION = 18, 8  # of 2022, so that older runtimes read it too
OUTPUT = "samples"
ABOUT = "jaxgan"  # the key of the description, in JSON


def serialize(sampler: Sampler) -> bytes:
    """Makes a graph for batches of any size, with weights and description inside.

    Args:
        sampler: what `jaxgan.export.sampler` made.

    Returns:
        An ONNX model. Its inputs are the sampler's arguments, its output is called "samples".

    Raises:
        UserError: if ONNX has no counterpart of an operation, or none for numbers of its type.
    """
    shapes = symbolic_shapes(sampler)
    program, out = jax.make_jaxpr(sampler.draw, return_shape=True)(shapes)
    needed, _ = dce_jaxpr(program.jaxpr, [True], instantiate=True)
    names = sorted(shapes)  # the order of the arguments of the program
    graph = Graph(next(name for name in names if shapes[name].ndim))
    nodes = [Node(name, shapes[name].shape) for name in names]
    (made,) = operations.write(graph, ClosedJaxpr(needed, program.consts), nodes)
    graph.finish(graph.whole(made, out.shape), OUTPUT)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            sampler.about["recipe"],
            [_described(name, x) for name, x in shapes.items()],
            [_described(OUTPUT, out)],
            graph.constants,
        ),
        producer_name="jaxgan",
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    _check_size(graph)
    onnx.helper.set_model_props(model, {ABOUT: json.dumps(sampler.about)})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"this network cannot be exported to ONNX, which refuses it ({reason}): export with "
            "--format stablehlo, or try jax2onnx"
        ) from error
    return model.SerializeToString()


def _check_size(graph: Graph) -> None:
    size = sum(len(x.raw_data) for x in graph.constants)
    if size >= onnx.checker.MAXIMUM_PROTOBUF:
        raise UserError(
            f"weights of {size / 1e9:.1f} GB are too large for a file of ONNX, which holds 2 GB: "
            "export with --format stablehlo"
        )


def _described(name: str, x: jax.ShapeDtypeStruct) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype))
    return onnx.helper.make_tensor_value_info(
        name, kind, [size if isinstance(size, int) else BATCH for size in x.shape]
    )


def run(data: bytes, arguments: Mapping[str, Array]) -> np.ndarray:
    """Runs a model: by ONNX Runtime if it is installed, or else by ONNX itself, which is slow.

    Args:
        data: what `serialize` made.
        arguments: by name.

    Returns:
        Pictures `[B, ...]`.
    """
    values = {name: np.asarray(x) for name, x in arguments.items()}
    try:
        from onnxruntime import InferenceSession
    except ModuleNotFoundError:
        from onnx.reference import ReferenceEvaluator

        (made,) = ReferenceEvaluator(onnx.load_from_string(data)).run([OUTPUT], values)
    else:
        session = InferenceSession(data, providers=["CPUExecutionProvider"])
        (made,) = session.run([OUTPUT], values)
    return np.asarray(made)


def describe(sampler: Sampler) -> dict[str, bytes]:
    """Adds no file: the description is in the model."""
    return {}


FORMAT = Format(serialize, run, describe)
