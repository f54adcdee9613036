"""Sphinx: where a widget will stand, its picture and its words stand first.

The notebook stores a still picture beside each widget. It is shown with the widget's caption where
no JavaScript runs, and until the widget is drawn. Its elements are those of
sdelib/widgets/common.js, so it has the size of the widget and nothing jumps.
"""

import base64
import hashlib
import html
import re
from pathlib import Path

import nbformat

from sdelib.widgets.frames import decode

ROOT = Path(__file__).parents[2]
VIEW, STATE = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)
SCRIPT = re.compile(
    rf'<script type="{re.escape(VIEW)}">[^<]*"model_id": "([0-9a-f]+)"[^<]*</script>'
)
CSS = "".join(
    re.search(
        rf"const {name} = `\n(.*?)`;",
        (ROOT / "sdelib/widgets" / file).read_text(encoding="utf-8"),
        re.S,
    )[1]
    for name, file in (("CSS", "common.js"), ("HANDLES", "mixture.js"))
)
SCALE, BAR = ' class="sde-scale"', '<span class="sde-bar"></span>'


def control(spec: dict) -> str:
    """The place of one control, as tall as the control."""
    label = html.escape(spec["label"])
    if spec["kind"] == "switch":
        chosen = {spec["start"]: ' style="font-weight: 600"'}
        options = "".join(
            f'<button type="button" disabled{chosen.get(i, "")}>{html.escape(key)}</button>'
            for i, key in enumerate(spec["keys"])
        )
        return f'<div class="sde-control"><div>{label}</div><div class="sde-options">{options}</div></div>'
    room = (
        f'<div class="sde-paint" style="--shape: {spec["columns"]} / {spec["rows"]}"></div>'
        if spec["kind"] == "paint"
        else '<div class="sde-track"><input type="range" disabled></div>'
    )
    return f'<div class="sde-control"><div class="sde-head"><span>{label}</span></div>{room}</div>'


def spans(parts) -> str:
    return "".join(f"<span{SCALE if BAR in part else ''}>{part}</span>" for part in parts if part)


def legend(meta: dict) -> str:
    """What the colours and the arrows of a frame mean, as explorer.js says it."""
    scale = [html.escape(meta["label"]) + BAR] if "range" in meta else []
    arrows = [f"longest arrow {meta['longest']:.3g}, drawn length ∝ √"] if "longest" in meta else []
    return spans(
        scale
        + arrows
        + [
            f'<span class="sde-dot"></span>{html.escape(name)}'
            for name in meta.get("labels", ())
            if name
        ]
    )


def start(spec: dict, frames: str) -> dict:
    """The words of the frame that is seen first."""
    index = 0
    for c in spec["controls"]:
        index = index * len(c["keys"]) + c["start"]
    return decode(frames)[index].meta


def of_frames(spec: dict, frames: str) -> dict:
    """What stands around the picture in explorer.js, by the name of its class."""
    meta, film = start(spec, frames), spec["view"] == "particles"
    play = film or any(c["kind"] == "slider" for c in spec["controls"])
    return {
        "legend": legend(meta),
        "note": html.escape(meta["note"]),
        "controls": spec["controls"] + [{"kind": "slider", "label": "time"}] * film,
        "actions": ["Play"] * play + ["Reset"],
        "status": "",
        "beside": 2.1 if spec["view"] == "images" else 1.45,
    }


def of_mixture(spec: dict) -> dict:
    """The same for mixture.js."""
    several, moves = len(spec["components"]) > 1, spec["dynamics"] is not None
    weights = " : ".join(f"{100 * c['weight']:.0f}" for c in spec["components"])
    seen = (
        "particles after 0 steps"
        if spec["dynamics"] == "langevin"
        else f"particles {weights} %"
        if moves and several
        else ""
    )
    return {
        "legend": spans(
            [
                "density 0" + BAR,
                "longest arrow, drawn length ∝ √",
                "rings: 2 std",
                f'<span class="sde-dot"></span>{spec["particles"]} particles' if moves else "",
            ]
        ),
        "note": spans([seen, f"weights {weights} %" if several else "one component"]),
        "controls": spec["controls"][: None if several else -1],
        "actions": ["Play"] * moves + ["Reset", "Add", "Remove"],
        "beside": 1.45,
        "status": "Drag a number to move its component, a knob to stretch or turn it. By keyboard: arrow keys, + and −.",
    }


def still(state: dict, address: str) -> str:
    """The widget before it lives: picture, words, and the places of its controls."""
    spec = state["spec"]
    part = of_mixture(spec) if spec["view"] == "mixture" else of_frames(spec, state["frames"])
    beside = " sde-beside" if spec["aspect"] <= part["beside"] else ""
    buttons = "".join(f'<button type="button" disabled>{name}</button>' for name in part["actions"])
    alt, caption = (
        html.escape(spec["alt"] or spec["caption"], quote=True),
        html.escape(spec["caption"]),
    )
    return (
        f'<div class="sde-x sde-still sde-{spec["view"]}"><div class="sde-frame{beside}"><div class="sde-stage"><div class="sde-plot">'
        f'<div class="sde-area" style="aspect-ratio: {spec["aspect"]}"><img src="{address}" alt="{alt}" loading="lazy"></div></div>'
        f'<div class="sde-legend">{part["legend"]}</div><p class="sde-note">{part["note"]}</p></div>'
        f'<div class="sde-panel" aria-hidden="true">{"".join(map(control, part["controls"]))}'
        f'<div class="sde-actions">{buttons}</div><p class="sde-status">{part["status"]}</p></div>'
        f'<p class="sde-caption">{caption}<span class="sde-off"> The picture moves where JavaScript runs.</span></p></div></div>'
    )


def place(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for doc in app.env.found_docs:
        source = Path(app.env.doc2path(doc))
        if source.suffix != ".ipynb":
            continue
        nb = nbformat.read(source, as_version=4)
        models = nb.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
        pictures = {
            o.data[VIEW]["model_id"]: o.data.get("image/png")
            for c in nb.cells
            if c.cell_type == "code"
            for o in c.outputs
            if VIEW in o.get("data", {})
        }
        if not pictures:
            continue
        first = iter([f"<style>{CSS}</style>"])
        up = "../" * doc.count("/")

        def with_still(hit):
            state, png = models.get(hit[1], {}).get("state", {}), pictures.get(hit[1])
            if not (png and "spec" in state):
                return hit[0]
            data = base64.b64decode(png)
            name = f"still-{hashlib.sha256(data).hexdigest()[:16]}.png"
            (out / "_images").mkdir(exist_ok=True)
            (out / "_images" / name).write_bytes(data)
            return f'<div class="widget-host">{next(first, "")}{still(state, f"{up}_images/{name}")}</div>{hit[0]}'

        page = out / f"{doc}.html"
        text = page.read_text(encoding="utf-8")
        if 'class="sde-x sde-still' not in text:
            page.write_text(SCRIPT.sub(with_still, text), encoding="utf-8")


def setup(app) -> dict:
    app.connect("build-finished", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
