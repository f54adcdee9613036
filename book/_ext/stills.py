"""Sphinx: where a widget will stand, its picture and its words stand first.

The notebook stores a still picture beside each widget. It is shown with the widget's caption where no JavaScript runs, and until
the widget is drawn. Its elements are those of sdelib/widgets/common.js, so it has the size of the widget and nothing jumps.
"""

import base64
import hashlib
import html
import re
from pathlib import Path

import nbformat
from sdelib.widgets.frames import decode

ROOT = Path(__file__).parents[2]
VIEW, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
SCRIPT = re.compile(rf'<script type="{re.escape(VIEW)}">[^<]*"model_id": "([0-9a-f]+)"[^<]*</script>')
CSS = re.search(r"const CSS = `\n(.*?)`;", (ROOT / "sdelib/widgets/common.js").read_text(encoding="utf-8"), re.S)[1]


def control(spec: dict) -> str:
    """The place of one control, as tall as the control."""
    label = html.escape(spec["label"])
    if spec["kind"] == "switch":
        chosen = {spec["start"]: ' style="font-weight: 600"'}
        options = "".join(f'<button type="button" disabled{chosen.get(i, "")}>{html.escape(key)}</button>' for i, key in enumerate(spec["keys"]))
        return f'<div class="sde-control"><div>{label}</div><div class="sde-options">{options}</div></div>'
    room = (f'<div class="sde-paint" style="--shape: {spec["columns"]} / {spec["rows"]}"></div>' if spec["kind"] == "paint"
            else '<div class="sde-track"><input type="range" disabled></div>')
    return f'<div class="sde-control"><div class="sde-head"><span>{label}</span></div>{room}</div>'


def legend(meta: dict) -> str:
    """What the colours and the arrows of a frame mean, as explorer.js says it."""
    scale = [f'<span class="sde-scale">{html.escape(meta["label"])}<span class="sde-bar"></span></span>'] if "range" in meta else []
    arrows = [f"<span>longest arrow {meta['longest']:.3g}, drawn length ∝ √</span>"] if "longest" in meta else []
    return "".join(scale + arrows + [f'<span><span class="sde-dot"></span>{html.escape(name)}</span>' for name in meta.get("labels", ()) if name])


def start(spec: dict, frames: str) -> dict:
    """The words of the frame that is seen first."""
    index = 0
    for c in spec["controls"]:
        index = index * len(c["keys"]) + c["start"]
    return decode(frames)[index].meta


def still(spec: dict, meta: dict, address: str) -> str:
    """The widget before it lives: picture, words, and the places of its controls."""
    view, controls = spec["view"], spec.get("controls", [])
    film = view == "particles"
    beside = " sde-beside" if spec["aspect"] <= (2.1 if view == "images" else 1.45) else ""
    places = "".join(map(control, controls)) + (control({"kind": "slider", "label": "time"}) if film else "")
    play = '<button type="button" disabled>Play</button>' if film or any(c["kind"] == "slider" for c in controls) else ""
    alt, caption = html.escape(spec["alt"] or spec["caption"], quote=True), html.escape(spec["caption"])
    return (f'<div class="sde-x sde-still sde-{view}"><div class="sde-frame{beside}"><div class="sde-stage"><div class="sde-plot">'
            f'<div class="sde-area" style="aspect-ratio: {spec["aspect"]}"><img src="{address}" alt="{alt}" loading="lazy"></div></div>'
            f'<div class="sde-legend">{legend(meta)}</div><p class="sde-note">{html.escape(meta["note"])}</p></div><div class="sde-panel" aria-hidden="true">{places}'
            f'<div class="sde-actions">{play}<button type="button" disabled>Reset</button></div><p class="sde-status"></p></div>'
            f'<p class="sde-caption">{caption}<span class="sde-off"> The picture moves where JavaScript runs.</span></p></div></div>')


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
        pictures = {o.data[VIEW]["model_id"]: o.data.get("image/png") for c in nb.cells if c.cell_type == "code"
                    for o in c.outputs if VIEW in o.get("data", {})}
        if not pictures:
            continue
        first = iter([f"<style>{CSS}</style>"])
        up = "../" * doc.count("/")

        def with_still(hit):
            state, png = models.get(hit[1], {}).get("state", {}), pictures.get(hit[1])
            if not (png and "frames" in state):
                return hit[0]
            spec = state["spec"]
            data = base64.b64decode(png)
            name = f"still-{hashlib.sha256(data).hexdigest()[:16]}.png"
            (out / "_images").mkdir(exist_ok=True)
            (out / "_images" / name).write_bytes(data)
            return f'<div class="widget-host">{next(first, "")}{still(spec, start(spec, state["frames"]), f"{up}_images/{name}")}</div>{hit[0]}'

        page = out / f"{doc}.html"
        text = page.read_text(encoding="utf-8")
        if 'class="sde-x sde-still' not in text:
            page.write_text(SCRIPT.sub(with_still, text), encoding="utf-8")


def setup(app) -> dict:
    app.connect("build-finished", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
