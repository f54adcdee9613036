"""A network as an ONNX file, for other runtimes: the browser, C++, a phone.

    x (n, …) float32,   sigma or t (n,) float32,   label (n,) int32 where the network has labels,

by the names of the network's own arguments; n is free. The graph computes in float32. The same
versions of torch, onnxscript and onnx write the same file.
"""

from __future__ import annotations

import copy
import inspect
import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checks import require, whole
from ..denoiser import SIGMA_MAX, SIGMA_MIN
from .weights import atomic

OPSET = 18
CLOSE = 1e-4
"""How far onnxruntime may be from torch, beside the largest number of an answer or 1."""


def to_onnx(
    network: nn.Module,
    path: str | Path,
    shape: tuple[int, ...],
    *,
    output: str | None = None,
    half: bool = False,
    facts: Mapping[str, str] | None = None,
    check: bool = True,
) -> Path:
    """Write a network of sdelib, or one called like it, as ONNX, atomically; returns the path.

    network: a Denoiser, a DenoiserMLP, a ScoreUNet, a ScoreMLP, …: x comes first, then sigma or t,
    then perhaps label.  shape: of one x, such as (1, 28, 28) or (2,).
    output: its name; by default D where there is a sigma, and score where there is a t.
    half: store the weights that half precision holds exactly, as it does those of the bundled
    networks, in half precision; the numbers that the graph computes stay the same.
    facts: what the file says of itself, beside the versions of torch and onnx.
    check: compare onnxruntime's answers with torch's before the file takes its place.
    Raises ValueError for a network with other arguments, a shape that it does not take, or answers
    that differ by more than CLOSE; ImportError without onnx, onnxscript or, to check, onnxruntime.
    """
    path = Path(path).expanduser()
    require(not path.is_dir(), "path", str(path), "it is a folder: give a file in it")
    whole(**{f"shape[{i}]": n for i, n in enumerate(shape)})
    onnx = _onnx(check)
    network = copy.deepcopy(network).cpu().float().eval()
    inputs = _inputs(network, shape)
    with torch.no_grad():
        try:
            network(*inputs.values())
        except RuntimeError as error:
            words = f"the network does not take it ({str(error).splitlines()[0]:.200})"
            raise ValueError(f"shape = {shape}: {words}: give the shape of one x") from error
    model = _graph(network, inputs, output or ("D" if "sigma" in inputs else "score"))
    _strip(model)
    if half:
        _halve(model)
    says = {**(facts or {}), "torch": torch.__version__, "onnx": onnx.__version__}
    onnx.helper.set_model_props(model, says)
    onnx.checker.check_model(model, full_check=True)
    if check:
        _compare(model, network, inputs)
    atomic(path, lambda p: p.write_bytes(model.SerializeToString(deterministic=True)))
    return path


def _onnx(check: bool) -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401

        if check:
            import onnxruntime  # noqa: F401
    except ImportError as error:
        mend = "pip install onnx onnxscript onnxruntime"
        raise ImportError(f"the export needs {error.name}: {mend}") from error
    return onnx


def _inputs(network: nn.Module, shape: tuple[int, ...], n: int = 2) -> dict[str, Tensor]:
    """Name → an example, in the order of the network's arguments: noise levels over all that it
    knows, x of their size, every label in turn."""
    known: Any = getattr(network, "config", {}).get("classes", 0)
    asked = [
        p.name
        for p in inspect.signature(network.forward).parameters.values()
        if p.default is p.empty or (p.name == "label" and known)
    ]
    fit = asked[:1] == ["x"] and set(asked[1:]) < {"sigma", "t", "label"} and len(asked) > 1
    cure = "the export knows x, then sigma or t, then perhaps label"
    require(fit, f"arguments of {type(network).__name__}", asked, cure)
    low, high = _levels(network, asked[1])
    noise = torch.logspace(math.log10(low), math.log10(high), n).clamp(low, high)
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))
    if asked[1] == "sigma":
        x = x * (1 + noise.reshape(-1, *[1] * len(shape)))
    label = (torch.arange(n) % (known + 1) - 1).int() if "label" in asked else torch.zeros(0)
    values = {"x": x, "sigma": noise, "t": noise, "label": label}
    return {name: values[name] for name in asked}


def _levels(network: Any, name: str) -> tuple[float, float]:
    if name == "sigma":
        return getattr(network, "levels", (SIGMA_MIN, SIGMA_MAX))
    sde = getattr(network, "sde", None)
    return (1e-3, 1.0) if sde is None else (1e-3 * sde.T, sde.T)


def _graph(network: nn.Module, inputs: dict[str, Tensor], output: str) -> Any:
    """The network as a graph, as torch exports it."""
    n = torch.export.Dim("n")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            free = tuple({0: n} for _ in inputs)
            program = torch.export.export(
                network, tuple(inputs.values()), dynamic_shapes=free, strict=True
            )
            how: Any = {"input_names": [*inputs], "output_names": [output], "verbose": False}
            how["custom_translation_table"] = {torch.ops.aten.expm1.default: _expm1}
            found: Any = torch.onnx.export(program, dynamo=True, opset_version=OPSET, **how)
    finally:
        logging.disable(before)
    model = found.model_proto
    ends = {v.name: v.type.tensor_type.shape.dim for v in (*model.graph.input, *model.graph.output)}
    fixed = sorted(name for name, axes in ends.items() if not axes[0].dim_param)
    cure = "torch exported a graph for one batch size only: write the network without len(x)"
    require(not fixed and [*ends] == [*inputs, output], "inputs with a fixed n", fixed, cure)
    return model


def _expm1(x: Any) -> Any:
    """eˣ − 1 = tanh(x/2) (eˣ + 1): ONNX has no expm1, and the std of VP at small t needs one."""
    import onnxscript

    op: Any = onnxscript.opset18
    half, one = (op.Constant(value_float=value) for value in (0.5, 1.0))
    return op.Mul(op.Tanh(op.Mul(x, half)), op.Add(op.Exp(x), one))


def _strip(model: Any) -> None:
    """Take out what is not the function: names of source lines, shapes in between. Call the free
    axis n."""
    g = model.graph
    for part in (model, g, *g.node, *g.initializer, *g.input, *g.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    g.ClearField("value_info")
    for value in (*g.input, *g.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"


def _halve(model: Any) -> None:
    """Store every tensor that half precision holds exactly in half precision, with a Cast to
    float32."""
    from onnx import TensorProto, helper, numpy_helper

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


def _compare(model: Any, network: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Raise ValueError unless onnxruntime gives what torch gives, at 11 noise levels."""
    import onnxruntime

    inputs = _inputs(network, tuple(inputs["x"].shape[1:]), n=11)
    cpu = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=cpu)
    [found] = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        right = network(*inputs.values())
    size = right.flatten(1).abs().amax(1).clamp(min=1)
    off = (torch.from_numpy(found) - right).flatten(1).abs().amax(1) / size
    cure = f"onnxruntime differs from torch by more than {CLOSE}, so nothing was written"
    require(off.max() < CLOSE, "largest relative difference", float(off.max()), cure)
