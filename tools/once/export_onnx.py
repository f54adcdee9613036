"""Write the bundled denoiser-small as ONNX, for the page that draws garments in the browser.

    python tools/once/export_onnx.py

D(x; σ, label):  x (n, 1, 28, 28) float32, sigma (n,) float32, label (n,) int32 with NO_LABEL = −1
where the class is not told; the output D is shaped like x, and n is free. The weights are bundled
in half precision, so they are stored so here too, and
the graph widens them: it computes in float32, with the same numbers. The same versions of torch,
onnxscript and onnx write the same file; it carries the SHA-256 of the weights that it came from, so
tests/site/test_sampler.py finds one that is too old.
"""

from __future__ import annotations

import logging
import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from sdelib.own import weights

NAME = "denoiser-small"
OPSET = 18
TYPES = {
    "x": TensorProto.FLOAT,
    "sigma": TensorProto.FLOAT,
    "label": TensorProto.INT32,
    "D": TensorProto.FLOAT,
}


def graph() -> onnx.ModelProto:
    """The network as a graph, as torch exports it."""
    example = torch.zeros(2, 1, 28, 28), torch.ones(2), torch.zeros(2, dtype=torch.int32)
    n = torch.export.Dim("n")
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            weights.load(NAME), example, dynamic_shapes=({0: n}, {0: n}, {0: n}), strict=True
        )
        found = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
            input_names=["x", "sigma", "label"],
            output_names=["D"],
        )
    return found.model_proto


def strip(model: onnx.ModelProto) -> None:
    """Take out what is not the function: names of source lines, shapes in between. Call the free
    axis n."""
    g = model.graph
    for part in (model, g, *g.node, *g.initializer, *g.input, *g.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    g.ClearField("value_info")
    for value in (*g.input, *g.output):
        axis = value.type.tensor_type.shape.dim[0]
        if axis.dim_param:  # free, under a name that torch counted up
            axis.dim_param = "n"


def halve(model: onnx.ModelProto) -> None:
    """Store every tensor that half precision holds exactly in half precision, with a Cast to
    float32."""
    g, casts = model.graph, []
    for tensor in g.initializer:
        value = numpy_helper.to_array(tensor)
        if (
            tensor.data_type == TensorProto.FLOAT
            and value.size > 16
            and np.array_equal(value.astype(np.float16).astype(np.float32), value)
        ):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *g.node]
    del g.node[:]
    g.node.extend(nodes)


def main() -> int:
    model = graph()
    strip(model)
    halve(model)
    ends = {v.name: v.type.tensor_type for v in (*model.graph.input, *model.graph.output)}
    found = {name: (kind.elem_type, kind.shape.dim[0].dim_param) for name, kind in ends.items()}
    if found != {name: (kind, "n") for name, kind in TYPES.items()}:
        sys.exit(f"the graph has the inputs and outputs {found}, not {TYPES} with a free n")
    helper.set_model_props(
        model,
        {
            "weights": NAME,
            "weights_sha256": weights.sha256(weights.checked(f"{NAME}.safetensors")),
            "command": "python tools/once/export_onnx.py",
            "torch": torch.__version__,
            "onnx": onnx.__version__,
        },
    )
    onnx.checker.check_model(model, full_check=True)
    path = weights.BUNDLED / f"{NAME}.onnx"
    weights.atomic(path, lambda p: p.write_bytes(model.SerializeToString(deterministic=True)))
    weights.record(path.name)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
