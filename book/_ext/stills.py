"""Sphinx: a notebook's widgets on its page, without a kernel.

The notebook stores of a widget its picture and its data (sdelib/widgets/bundle.py: STORED); who
opens the notebook sees the picture. On the page picture and words stand first, in the widget's
size, so that nothing jumps; they stay where no JavaScript runs. Behind them come the data, in the
form in which Jupyter writes a widget, and one script for each kind of widget that the page has.
"""

import hashlib
import html
import json
import re
from base64 import b64decode
from pathlib import Path

from sdelib.widgets import bundle
from sdelib.widgets.frames import decode

VIEW, STATE = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)
PICTURE = re.compile(r'<img\b[^>]*\bsrc="([^"]*_images/([0-9a-f]{64})\.png)"[^>]*>')
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
        room = f'<div>{label}</div><div class="sde-options">{options}</div>'
        return f'<div class="sde-control">{room}</div>'
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
        "actions": ["Play", "Loop"] * play + ["Reset"],
        "where": play,
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
        "actions": ["Play"] * moves
        + ["Loop"] * (spec["dynamics"] == "reverse")
        + ["Reset", "Add", "Remove"],
        "where": False,
        "beside": 1.45,
        "status": "Drag a number to move its component, a knob to stretch or turn it. "
        "By keyboard: arrow keys, + and −.",
    }


def still(state: dict, address: str) -> str:
    """The widget before it lives: picture, words, and the places of its controls."""
    spec = state["spec"]
    part = of_mixture(spec) if spec["view"] == "mixture" else of_frames(spec, state["frames"])
    beside = " sde-beside" if spec["aspect"] <= part["beside"] else ""
    icon = {"Play": '<svg viewBox="0 0 10 10"></svg>'}  # as wide as explorer.js draws it
    buttons = "".join(
        f'<button type="button" disabled>{icon.get(name, "")}{name}</button>'
        for name in part["actions"]
    )
    where = '<p class="sde-where"></p>' if part["where"] else ""
    bar, panel = (
        f'<div class="sde-actions">{buttons}{where}</div>',
        [*map(control, part["controls"])],
    )
    panel.insert(0 if where else len(panel), bar)
    alt, caption = (
        html.escape(spec["alt"] or spec["caption"], quote=True),
        html.escape(spec["caption"]),
    )
    return (
        f'<div class="sde-x sde-still sde-{spec["view"]}"><div class="sde-frame{beside}"><div '
        f'class="sde-stage"><div class="sde-plot">'
        f'<div class="sde-area" style="aspect-ratio: {spec["aspect"]}"><img src="{address}" '
        f'alt="{alt}" loading="lazy"></div></div>'
        f'<div class="sde-legend">{part["legend"]}</div><p class="sde-note">{part["note"]}</p>'
        f"</div>"
        f'<div class="sde-panel" aria-hidden="true">{"".join(panel)}'
        f'<p class="sde-status">{part["status"]}</p></div>'
        f'<p class="sde-caption">{caption}<span class="sde-off"> The picture moves where '
        f"JavaScript runs.</span></p></div></div>"
    )


def script(kind: str, data: dict, more: str = "") -> str:
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    return f'<script{more} type="{kind}">\n{text}\n</script>'


def stored(source: Path) -> list[tuple[str, dict]]:
    """(name of the picture's file, state) of every widget of a notebook, in order."""
    if source.suffix != ".ipynb":
        return []
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    outputs = [o for c in cells for o in c.get("outputs", ())]
    own = [o for o in outputs if bundle.STORED in o.get("metadata", {})]
    png = lambda o: b64decode("".join(o["data"]["image/png"]))  # myst-nb names it by its hash
    return [(hashlib.sha256(png(o)).hexdigest(), o["metadata"][bundle.STORED]) for o in own]


def dressed(text: str, found: list[tuple[str, dict]]) -> str:
    """A page with the widgets in the places of their pictures."""
    kinds = {bundle.DRAWN_BY[state["spec"]["view"]] for _, state in found}
    states, waiting = {}, list(found)
    first = iter([f"<style>{bundle.style(*sorted(kinds))}</style>"])

    def widget(hit) -> str:
        if not waiting or hit[2] != waiting[0][0]:
            return hit[0]
        _, state = waiting.pop(0)
        id = f"widget-{len(states)}"
        states[id] = {"state": state}
        view = script(VIEW, {"model_id": id})
        return f'<div class="widget-host">{next(first, "")}{still(state, hit[1])}</div>{view}'

    text = PICTURE.sub(widget, text)
    return text.replace("</body>", f"{script(STATE, {'state': states})}</body>")


def place(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for doc in app.env.found_docs:
        page, found = Path(app.outdir) / f"{doc}.html", stored(Path(app.env.doc2path(doc)))
        text = page.read_text(encoding="utf-8") if found else ""
        if found and 'class="widget-host"' not in text:
            page.write_text(dressed(text, found), encoding="utf-8")


def write(app) -> None:
    """The scripts that pages load, before Sphinx looks for them."""
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        for name in set(bundle.DRAWN_BY.values()):
            (static / f"{name}.js").write_text(bundle.script(name), encoding="utf-8")


def load(app, names) -> None:
    """Let the page that is written load these widgets' scripts, and their host after them."""
    for name in (*sorted(names), "host"):
        app.add_js_file(f"{name}.js")


def scripts(app, docname, templatename, context, doctree) -> None:
    if found := stored(Path(app.env.doc2path(docname))) if doctree else []:
        load(app, {bundle.DRAWN_BY[state["spec"]["view"]] for _, state in found})


def setup(app) -> dict:
    app.connect("builder-inited", write)
    app.connect("html-page-context", scripts)
    app.connect("build-finished", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
