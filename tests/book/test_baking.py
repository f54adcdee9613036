"""The stored widget tables: they fit their recipes, and a frame that is computed again is the
stored one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sdelib.book import baking
from sdelib.widgets import BUDGET


@pytest.fixture(scope="module", params=sorted(baking.RECIPES))
def recipe(request):
    controls, compute = baking.RECIPES[request.param]()
    return request.param, controls, compute, baking.stored_table(request.param)


def test_the_table_fits_its_controls_and_the_page(recipe):
    _, controls, _, table = recipe
    assert table.axes == {c.name: list(c.keys) for c in controls}
    assert len(table.encoded) < BUDGET
    assert len({f.arrays["pixels"].tobytes() for f in table.frames}) > len(table.frames) / 2, (
        "the frames hardly differ"
    )


def test_a_frame_computed_again_is_the_stored_one(recipe):
    name, controls, compute, table = recipe
    keys = {
        "intro": [controls[0].keys[-1], "reverse SDE", "the state"],
        "source-experiment": [2.0, 20, "Euler–Maruyama"],
        "quality": ["DPM++(2M)", 18, 80.0],
        "inpainting": [controls[0].keys[-1], "pullover", 1.0],
    }[name]
    keys = dict(zip((c.name for c in controls), keys))
    again = (
        compute(**{c.name: c.resolve(keys[c.name]) for c in controls}).arrays["pixels"].astype(int)
    )
    stored = table.frame(**keys).arrays["pixels"].astype(int)
    # Another processor or thread count rounds float32 differently; some 20 network steps amplify
    # that to a grey level or two.
    assert np.abs(again - stored).max() <= 4


def test_platen_and_euler_maruyama_are_the_same_pixels():
    controls, _ = baking.source_experiment()
    table = baking.stored_table("source-experiment")
    for sigma, steps in itertools.product(controls[0].keys, controls[1].keys):
        a, b = (
            table.frame(sigma=sigma, steps=steps, solver=solver).arrays["pixels"]
            for solver in ("Euler–Maruyama", "Platen")
        )
        assert np.array_equal(a, b)


def test_a_frame_stands_where_the_product_puts_it(recipe):
    _, controls, _, table = recipe
    for keys, frame in zip(itertools.product(*(c.keys for c in controls)), table.frames):
        assert table.frame(**dict(zip((c.name for c in controls), keys))) is frame
    with pytest.raises(ValueError, match="is not stored"):
        table.frame(sigma=-1.0)


def test_a_table_that_is_not_there():
    with pytest.raises(ValueError, match="no bundled file is called 'nothing.table'"):
        baking.stored_table("nothing")
