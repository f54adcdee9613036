"""Sphinx: the page on which the reader's browser draws garments.

The directive `{sampler}` is the place of the widget sdelib/widgets/sampler.js, written as stills.py
writes a notebook's widgets, with a still picture that the same network draws when the book is
built. The role {fact} puts a number in a sentence: it is measured or counted, never typed. The
network goes to _static; its runtime is there already (tools/setup/javascript.py), and no page loads
either by itself.
"""

from __future__ import annotations

import base64
import csv
import functools
import html
import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from stills import STATE, VIEW, control, load, script

from sdelib.widgets import bundle

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "book" / "_static"
MODEL, QUALITY = (
    ROOT / "sdelib" / "bundled" / "denoiser-small.onnx",
    ROOT / "results" / "quality.csv",
)
RUNTIMES = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"),
}
NOT_HERE = {
    "milstein",
    "heun-ito",
    "probability-flow-rk45",
}  # they need automatic differentiation, or scipy
EVALUATIONS, SIGMA_MAX, N = 18, 80, 16
ALT = "Sixteen garments in four rows, drawn by the book's small network"
CAPTION = (
    "Pick a solver and a number of evaluations, and press Draw: noise becomes garments. Then "
    "pull the slider under the picture to "
    "see every step again. The states are drawn with the contrast of the data, whatever their "
    "noise."
)
OFF = (
    f"Your browser runs no JavaScript, so you see what the network drew when the book was "
    f"built: dpm++2m, {EVALUATIONS} evaluations, "
    f"VE with σ_max = {SIGMA_MAX}, the ten classes in turn, seed 0 of PyTorch."
)

NOTE = "Drawn when the book was built. Press Draw for your own."
STATUS = (
    "Nothing is fetched before you press Draw. What is fetched comes from this site, and what is "
    "drawn stays on your machine."
)


@functools.cache
def network():
    from sdelib.own import weights

    return weights.load(MODEL.stem)


@functools.cache
def drawn():
    """16 garments as a frame, the ten classes in turn: what the widget draws with its first
    settings, from other noise."""
    import torch

    from sdelib.families import VE
    from sdelib.own.by_name import sample_denoiser
    from sdelib.widgets.frames import images

    pictures, _ = sample_denoiser(
        network(),
        VE(0.01, SIGMA_MAX),
        N,
        label=torch.arange(N) % 10,
        evaluations=EVALUATIONS,
        generator=torch.Generator().manual_seed(0),
    )
    return images(pictures[:, 0], columns=4)


def reach() -> float:
    """The largest σ of dx = 25ᵗ dw."""
    from sdelib.families import VE

    return VE.power(25).prior_std


def frechet(network_name: str, solver: str) -> float:
    rows = csv.DictReader(
        line
        for line in QUALITY.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    wanted = network_name, f"VE {SIGMA_MAX}", solver, "karras", str(EVALUATIONS)
    [row] = [
        r
        for r in rows
        if r["part"] in ("main", "untold", "large")
        and tuple(r[key] for key in ("network", "process", "solver", "grid", "budget")) == wanted
    ]
    return float(row["frechet"])


FACTS = {
    "parameters": lambda: f"{sum(p.numel() for p in network().parameters()):,}",
    "megabytes": lambda: f"{MODEL.stat().st_size / 1e6:.1f} MB",
    "evaluations": lambda: str(EVALUATIONS),
    "reach": lambda: f"{reach():.1f}",
    "told": lambda: f"{frechet('denoiser-small told the class', 'dpm++2m'):.1f}",
    "untold": lambda: f"{frechet('denoiser-small', 'dpm++2m'):.1f}",
    "large": lambda: f"{frechet('denoiser told the class', 'dpm++2m'):.1f}",
}


def fact(name, rawtext, text, lineno, inliner, options=None, content=None):
    if text not in FACTS:
        return [], [
            inliner.reporter.error(
                f"there is no fact {text!r}; there are {', '.join(FACTS)}", line=lineno
            )
        ]
    return [nodes.Text(FACTS[text]())], []


def choices(name: str, label: str, groups: dict[str, dict[str, str]], start: str) -> dict:
    """A list to choose from: title of a group → value → words."""
    return {
        "kind": "list",
        "name": name,
        "label": label,
        "start": start,
        "groups": [[title, list(options.items())] for title, options in groups.items()],
    }


def controls() -> list[dict]:
    from sdelib.book.data import CLASSES
    from sdelib.own.by_name import GRIDS, SOLVERS
    from sdelib.widgets import Slider, Switch

    names = lambda eta: {
        name: name for name, s in SOLVERS.items() if s.eta == eta and name not in NOT_HERE
    }
    solvers = {
        "probability flow: noise at the start only": names(0.0),
        "reverse SDE: noise in every step": names(1.0),
    }
    classes = {"turn": "the ten in turn", "-1": "not told"} | {
        str(k): name for k, name in enumerate(CLASSES)
    }
    counts = [2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 25, 30, 35, 50, 75, 100, 200]
    return [
        choices("solver", "solver", solvers, "dpm++2m"),
        Switch("sde", "process", ["VE", "VE 25ᵗ", "VP", "sub-VP"]).spec(),
        Slider(
            "sigma_max",
            "σ_max",
            [5, 7, 10, 14, 20, 28, 40, 56, 80, 110, 160],
            start=SIGMA_MAX,
            integer=True,
        ).spec(),
        Slider(
            "evaluations", "evaluations, at most", counts, start=EVALUATIONS, integer=True
        ).spec(),
        Switch("grid", "time grid", list(GRIDS), start="karras").spec(),
        choices("label", "class", {"": classes}, "turn"),
        {"kind": "text", "name": "seed", "label": "seed", "start": "0"},
    ]


def spec(up: str) -> dict:
    from sdelib.widgets import Switch

    folder, size = "vendor/onnxruntime", lambda file: file.stat().st_size if file.is_file() else 0
    runtimes = {
        device: {
            "runtime": f"{folder}/{runtime}",
            "binary": f"{folder}/{binary}",
            "bytes": sum(map(size, (STATIC / folder / runtime, STATIC / folder / binary, MODEL))),
        }
        for device, (runtime, binary) in RUNTIMES.items()
    }
    return {
        "view": "sampler",
        "base": f"{up}_static/",
        "worker": "denoise.worker.js",
        "model": MODEL.name,
        "runtimes": runtimes,
        "controls": controls(),
        "show": Switch("show", "show", ["the state x", "the guess D(x)"]).spec(),
        "mean": network().data_mean,
        "std": network().data_std,
        "alt": ALT,
        "caption": CAPTION,
        "note": NOTE,
        "status": STATUS,
        "pixels": base64.b64encode(drawn().arrays["pixels"].tobytes()).decode(),
    }


def still(spec: dict) -> str:
    """The widget before it lives: the picture, and the places of its controls."""
    from sdelib.widgets.still import picture

    buttons = "".join(
        f'<button type="button" disabled>{words}</button>'
        for words in (
            f"Draw {N} garments (fetches {spec['runtimes']['wasm']['bytes'] / 1e6:.0f} MB)",
            "Stop",
            "New seed",
        )
    )
    field = '<div class="sde-control"><div>{}</div><select disabled></select></div>'
    places = "".join(
        control(c) if c["kind"] in ("slider", "switch") else field.format(c["label"])
        for c in spec["controls"]
    )
    image = base64.b64encode(picture(drawn())).decode()
    return (
        f'<style>{bundle.style("sampler")}</style><div class="sde-x sde-still sde-images '
        f'sde-sampler"><div class="sde-frame sde-beside">'
        f'<div class="sde-stage"><div class="sde-plot"><div class="sde-area" '
        f'style="aspect-ratio: 1">'
        f'<img src="data:image/png;base64,{image}" alt="{ALT}"></div></div><p class="sde-note">'
        f"{NOTE}</p>"
        f'<div class="sde-wait" aria-hidden="true"><div class="sde-actions">{buttons}</div><p '
        f'class="sde-status">{STATUS}</p>'
        f'<div class="sde-film">{control(spec["show"])}<div class="sde-reel"></div></div></div>'
        f"</div>"
        f'<div class="sde-panel" aria-hidden="true">{places}</div><p class="sde-caption">'
        f"{html.escape(CAPTION)}"
        f'<span class="sde-off"> {OFF}</span></p></div></div>'
    )


class Sampler(Directive):
    """The widget, and the picture in its place."""

    def run(self) -> list:
        env = self.state.document.settings.env
        for file in (MODEL, QUALITY, *(STATIC / "vendor" / "onnxruntime").glob("*.wasm")):
            env.note_dependency(str(file))
        env.metadata[env.docname]["sampler"] = True
        made = spec("../" * env.docname.count("/"))
        view = script(VIEW, {"model_id": "sampler"}, ' id="sampler-view"')
        state = script(STATE, {"state": {"sampler": {"state": {"spec": made}}}})
        host = f'<div class="cell_output"><div class="widget-host">{still(made)}</div>{view}</div>'
        return [nodes.raw("", host + state, format="html")]


def scripts(app, docname, templatename, context, doctree) -> None:
    if "sampler" in app.env.metadata.get(docname, {}):
        load(app, ["sampler"])


def place(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        shutil.copy(MODEL, Path(app.outdir) / "_static")


def setup(app) -> dict:
    app.add_directive("sampler", Sampler)
    app.add_role("fact", fact)
    app.connect("html-page-context", scripts)
    app.connect("build-finished", place)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
