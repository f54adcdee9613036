"""The mixture that the reader drags: its mathematics in JavaScript against sdelib's, its page, and
its arguments."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import (
    DRAWN,
    HOWS,
    ROOT,
    SECONDS,
    VIEW,
    complaints,
    drive,
    javascript,
    look,
    served,
    widget_page,
    widgets,
)

from sdelib.book.toys import garden, two_modes
from sdelib.brownian import Still
from sdelib.densities import GaussianMixture
from sdelib.families import NoiseLevel
from sdelib.integration import integrate
from sdelib.langevin import langevin
from sdelib.reversal import Reverse
from sdelib.widgets import MixtureField

EXTENT = (-4.0, 4.0, -4.0, 4.0)


# ---- the mathematics, in Node
# ----------------------------------------------------------------------


@pytest.fixture
def js():
    """js(code, **data): what the body `code` of a function (m, data) returns, with m the widget's
    mathematics."""
    return lambda code, **data: javascript(code, "gaussians", "numbers", **data)


def spread_out(K: int, generator) -> GaussianMixture:
    """A random mixture: standard deviations from 0.2 to 2 on turned axes, weights down to 1 in
    100."""
    u = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)
    angle, stds = 2 * math.pi * u(K), 0.2 * 10 ** u(K, 2)
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)],
        -2,
    )
    C = turn @ torch.diag_embed(stds**2) @ turn.mT
    return GaussianMixture(10 ** (-2 * u(K)), 8 * u(K, 2) - 4, (C + C.mT) / 2)


def components(mixture: GaussianMixture, dynamics=None) -> list[dict]:
    return MixtureField(mixture, dynamics, extent=(-9, 9, -9, 9)).spec["components"]


EVALUATE = """const n = data.xy.length / 2, log = new Float64Array(n),
    score = new Float64Array(2 * n), shares = new Float64Array(n * data.components.length);
    m.evaluate(m.diffused(data.components, data.sigma), data.xy, n, log, score, shares);
    return { log, score, shares };"""


@pytest.mark.parametrize("K", [1, 2, 6])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 5.0])
def test_log_density_and_score_are_those_of_sdelib_far_out_too(K, sigma, js, generator):
    mixture = spread_out(K, generator)
    directions = torch.randn(300, 2, generator=generator, dtype=torch.float64)
    x = torch.cat(
        [
            8 * torch.rand(300, 2, generator=generator, dtype=torch.float64) - 4,
            directions * 10 ** torch.linspace(0, 4, 300)[:, None],
        ]
    )
    found = js(EVALUATE, components=components(mixture), sigma=sigma, xy=x.flatten().tolist())
    noisy = mixture.blurred(sigma)
    log, score, shares = noisy.log_prob(x), noisy.score(x), noisy.responsibilities(x)
    # Both take C = R diag(v) Rᵀ. The rotation of x − m costs some eps = 2.2e-16 of |x − m| in each
    # coordinate, and a coordinate is divided by v: up to ten times smaller in std than the other,
    # so a few dozen eps of the exponent E = (x − m)ᵀC⁻¹(x − m)/2. An error d in the exponents is an
    # error d in log p, and a relative error 2d in the responsibilities. So d = 1e-14·(1 + E).
    y = x[:, None] - noisy.means
    exponents = torch.einsum("nki,kij,nkj->nk", y, torch.linalg.inv(noisy.covariances), y) / 2
    pulls = torch.einsum("kij,nkj->nki", torch.linalg.inv(noisy.covariances), y).norm(dim=-1)
    off = 1e-14 * (1 + exponents.max(1).values)
    js_log, js_score, js_shares = (
        torch.tensor(found[k], dtype=torch.float64).reshape(a.shape)
        for k, a in (("log", log), ("score", score), ("shares", shares))
    )
    assert torch.isfinite(js_log).all() and torch.isfinite(js_score).all()
    assert ((js_log - log).abs() <= off).all()
    assert ((js_shares - shares).abs() <= 2 * off[:, None]).all()
    assert ((js_score - score).norm(dim=1) <= (2 * off + 1e-13) * pulls.max(1).values).all()
    near = (
        exponents.max(1).values < 50
    )  # where the allowance is small: the formulas agree to 1e-12 of the value
    assert near.any() and torch.allclose(js_log[near], log[near], rtol=1e-12, atol=1e-12)
    assert torch.allclose(
        js_score[near], score[near], rtol=1e-12, atol=1e-11
    )  # atol: pulls of up to 100 that cancel


def test_the_far_tails_are_no_zero_over_zero(js):
    mixture = two_modes(torch.float64)
    x = torch.tensor(
        [[60.0, -60.0], [1e4, 3e4], [-1e6, 2.0]], dtype=torch.float64
    )  # p(x) underflows: its logarithm is −14,000 and less
    found = js(EVALUATE, components=components(mixture), sigma=0.0, xy=x.flatten().tolist())
    assert (mixture.log_prob(x).exp() == 0).all()
    assert torch.allclose(
        torch.tensor(found["log"], dtype=torch.float64), mixture.log_prob(x), rtol=1e-13
    )
    assert torch.allclose(
        torch.tensor(found["score"], dtype=torch.float64).reshape(3, 2),
        mixture.score(x),
        rtol=1e-13,
    )


def test_the_picture_is_the_field_that_python_makes(js):
    mixture = garden(torch.float64).blurred(0.4)
    found = js(
        """const f = m.picture(m.diffused(data.components, 0.4), data.extent,
          m.grid(data.extent, 96), m.grid(data.extent, 19));
        return { ...f.meta, density: f.decoded.density.data, arrows: f.decoded.arrows.data };""",
        components=components(garden(torch.float64)),
        extent=EXTENT,
    )
    from sdelib.book.plotting import grid_points
    from sdelib.widgets.frames import field

    torch.set_default_dtype(torch.float64)
    try:
        fine, coarse = grid_points(EXTENT, 96), grid_points(EXTENT, 19)
    finally:
        torch.set_default_dtype(torch.float32)
    frame = field(density=mixture.log_prob(fine).exp(), arrows=mixture.score(coarse), extent=EXTENT)
    assert found["range"] == pytest.approx(frame.meta["range"], rel=1e-12) and found[
        "longest"
    ] == pytest.approx(frame.meta["longest"], rel=1e-12)
    for name in (
        "density",
        "arrows",
    ):  # where a value lies between two whole numbers, rounding may go either way
        a, b = np.array(found[name]), frame.arrays[name].astype(int).ravel()
        assert np.abs(a - b).max() <= 1 and (a != b).mean() < 0.001


# ---- particles
# -------------------------------------------------------------------------------------


class Given:
    """Noise with given normal numbers, one array a step."""

    def __init__(self, z):
        self.z = iter(z)

    def __call__(self, t, t_next):
        return (t_next - t).abs().sqrt() * next(self.z)


def test_langevin_steps_are_those_of_sdelib_on_the_same_noise(js, monkeypatch, generator):
    mixture, eps, steps = spread_out(4, generator), 0.01, 20
    x, z = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((50, 2), (steps, 50, 2))
    )
    found = js(
        """const x = Float64Array.from(data.x); let j = 0;
        for (let k = 0; k < data.steps; k++)
          m.langevinStep(m.diffused(data.components, 0.3), x, 50, data.eps, () => data.z[j++]);
        return x;""",
        components=components(mixture),
        x=x.flatten().tolist(),
        z=z.flatten().tolist(),
        eps=eps,
        steps=steps,
    )
    monkeypatch.setattr("sdelib.langevin.WhiteNoise", lambda x, *, generator: Given(z))
    *_, last = langevin(mixture.blurred(0.3).score, x, eps, steps, generator=generator)
    # a step errs by a few eps of |x| and of ε·score; it may be multiplied by 1 + ε·max‖∇s‖ in the
    # next ones, here below e^3 in all
    assert torch.allclose(
        torch.tensor(found, dtype=torch.float64).reshape(50, 2), last, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_way_back_is_that_of_sdelib_on_the_same_noise(eta, js, generator):
    mixture = spread_out(3, generator)
    sigmas = torch.logspace(math.log10(8), math.log10(0.02), 97, dtype=torch.float64)
    x, z = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((50, 2), (96, 50, 2))
    )
    x = 8 * x
    found = js(
        """const x = Float64Array.from(data.x), after = []; let j = 0;
        for (let k = 0; k + 1 < data.sigmas.length; k++) {
          m.reverseStep(data.components, x, 50, data.sigmas[k], data.sigmas[k + 1], data.eta,
            () => data.z[j++]);
          if (k === 0 || k === 95) after.push(x.slice());
        } return { after, used: j };""",
        components=components(mixture),
        x=x.flatten().tolist(),
        z=z.flatten().tolist(),
        sigmas=sigmas.tolist(),
        eta=eta,
    )
    sde = NoiseLevel(8.0)
    states = list(
        integrate(
            Reverse(sde, mixture.score_of(sde), eta), x, sigmas, noise=Given(z) if eta else Still(x)
        )
    )
    assert found["used"] == (z.numel() if eta else 0)
    for after, state, tolerance in zip(
        found["after"], (states[0], states[-1]), (1e-13, 1e-9)
    ):  # rounding; it grows where paths part
        assert torch.allclose(
            torch.tensor(after, dtype=torch.float64).reshape(50, 2),
            state,
            rtol=0,
            atol=tolerance * 8,
        )


def test_the_generator_draws_normal_numbers(js):
    n = 200_000
    one, other, *firsts = js(
        """const out = [1, 2].map((seed) => {
          const z = m.normals(seed); return Array.from({ length: data.n }, z); });
        for (let seed = 0; seed < 2000; seed++) out.push(m.normals(seed)()); return out;""",
        n=n,
    )
    again = js("const z = m.normals(1); return Array.from({ length: 100 }, z);")
    assert again == one[:100] and one != other
    z = np.array(one)
    for power, mean, variance in (
        (1, 0, 1),
        (2, 1, 2),
        (3, 0, 15),
        (4, 3, 96),
    ):  # Var[z^k] = E[z^2k] − E[z^k]²
        assert abs((z**power).mean() - mean) < 4.5 * (variance / n) ** 0.5
    for product in (z[1:] * z[:-1], z[2:] * z[:-2], z * np.array(other)):
        assert abs(product.mean()) < 4.5 / len(product) ** 0.5
    cut = np.sort([0.5 * math.erfc(-v / 2**0.5) for v in z])
    assert (
        np.abs(cut - np.arange(n) / n).max() < 2.4 / n**0.5
    )  # Kolmogorov: passed twice in 100,000 times
    assert (
        abs(np.mean(firsts)) < 4.5 / 2000**0.5
        and abs(np.square(firsts).mean() - 1) < 4.5 * (2 / 2000) ** 0.5
    )  # seeds beside each other


def test_a_long_langevin_run_has_the_moments_of_the_mixture(js):
    # 4,000 particles that never see each other, looked at once, after 2,000 steps: independent
    # draws, so no autocorrelation enters.
    mixture, n, eps = (
        GaussianMixture(
            [0.3, 0.7], torch.tensor([[-0.7, 0.2], [0.7, -0.3]], dtype=torch.float64), [0.6, 0.8]
        ),
        4000,
        0.01,
    )
    run = """const z = m.normals(data.seed), n = data.n,
      x = Float64Array.from({ length: 2 * n }, () => 2 * z()),
      rows = m.diffused(data.components, 0);
        for (let k = 0; k < data.steps; k++) m.langevinStep(rows, x, n, data.eps, z); return x;"""
    arguments = dict(components=components(mixture), n=n, seed=5)
    x = torch.tensor(js(run, eps=eps, steps=2000, **arguments), dtype=torch.float64).reshape(n, 2)
    y = x - mixture.mean
    terms = torch.stack(
        [
            y[:, 0],
            y[:, 1],
            y[:, 0] ** 2,
            y[:, 1] ** 2,
            y[:, 0] * y[:, 1],
            mixture.responsibilities(x)[:, 0],
        ],
        1,
    )
    C = mixture.covariance
    exact = torch.stack(
        [C.new_zeros(()), C.new_zeros(()), C[0, 0], C[1, 1], C[0, 1], mixture.weights[0]]
    )
    # ULA's law is p with an error of order ε: for a Gaussian the variance v becomes v/(1 − ε/(2v)),
    # at the narrowest 1.4 %
    bias = (
        torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
        * eps
        / 2
        / 0.36
        * C.diagonal().max()
    )
    assert ((terms.mean(0) - exact).abs() < 4.5 * terms.std(0) / n**0.5 + bias).all()
    again = torch.tensor(js(run, eps=eps, steps=0, **arguments), dtype=torch.float64)
    assert (again.square().mean() / 4 - 1).abs() < 4.5 * (
        2 / (2 * n)
    ) ** 0.5  # and it did begin elsewhere


# ---- arguments and the still picture
# ---------------------------------------------------------------


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(mixture=3), "mixture = 3: give a GaussianMixture of the plane"),
        (dict(mixture=GaussianMixture([1.0], [[0.0]], 1.0)), "give a GaussianMixture of the plane"),
        (dict(mixture=GaussianMixture([1.0] * 7, [[0.0, 0.0]] * 7, 1.0)), "at most 6 components"),
        (dict(dynamics="euler"), "dynamics = 'euler'"),
        (dict(extent=(1, 0, 0, 1)), "x0 < x1"),
        (dict(extent=(-1, 1, -1, 1)), r"extent = .* leaves out the component at \(-2, -2\)"),
        (dict(sigma=-1.0), "sigma = -1.0"),
        (dict(sigma=4.0), "sigma = 4: give a number up to sigma_max = 3"),
        (dict(sigma=float("nan")), "sigma = nan"),
        (dict(dynamics="reverse", sigma=0.0), "sigma = 0: give a number above 0"),
        (dict(sigma_max=0.0), "sigma_max = 0.0"),
        (dict(sigma_max="3"), "sigma_max = '3'"),
        (dict(particles=0), "particles = 0"),
        (dict(particles=2.5), "particles = 2.5"),
        (dict(particles=True), "particles = True"),
        (
            dict(dynamics="langevin", eps=0.3),
            "eps = 0.3 is above the smallest variance of a component, 0.25",
        ),
        (dict(eps=0.0), "eps = 0.0"),
        (dict(start=-1.0), "start = -1.0"),
        (dict(seed=-1), "seed = -1"),
        (dict(seed=0.5), "seed = 0.5"),
    ],
)
def test_a_wrong_argument_is_named(change, words):
    arguments = dict(mixture=two_modes(), extent=EXTENT) | change
    with pytest.raises(ValueError, match=words):
        MixtureField(**arguments)


def test_the_package_loads_without_anywidget():
    code = (
        "import sys; sys.modules['anywidget'] = sys.modules['matplotlib'] = None; "
        "from sdelib.widgets import MixtureField; "
        "from sdelib.book.toys import two_modes; MixtureField(two_modes(), extent=(-4, 4, -4, 4))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "ImportError: the mixture needs anywidget" in done.stderr


def test_the_components_on_the_page_are_those_of_the_mixture():
    mixture = garden(torch.float64)
    for k, c in enumerate(components(mixture)):
        turn = torch.tensor(
            [
                [math.cos(c["angle"]), -math.sin(c["angle"])],
                [math.sin(c["angle"]), math.cos(c["angle"])],
            ],
            dtype=torch.float64,
        )
        C = turn @ torch.diag(torch.tensor(c["stds"], dtype=torch.float64) ** 2) @ turn.T
        assert (
            torch.allclose(C, mixture.covariances[k], rtol=0, atol=1e-15)
            and c["mean"] == mixture.means[k].tolist()
            and c["weight"] == float(mixture.weights[k])
        )


@pytest.mark.parametrize("dynamics, sigma", [(None, 0.5), ("langevin", 0.0), ("reverse", 3.0)])
def test_the_output_has_the_widget_and_a_still_picture_of_the_exact_field(dynamics, sigma):
    from sdelib.widgets.frames import field
    from sdelib.widgets.still import picture

    mixture = garden(torch.float64)
    data, _ = MixtureField(
        mixture, dynamics, extent=EXTENT, sigma=sigma, alt="in words"
    )._repr_mimebundle_()
    assert set(data) == {VIEW, "image/png", "text/plain"} and data["text/plain"] == "in words"
    png, noisy = base64.b64decode(data["image/png"]), mixture.blurred(sigma)
    grid = lambda n: torch.stack(
        torch.meshgrid(*[torch.linspace(-4, 4, n, dtype=torch.float64)] * 2, indexing="xy"), -1
    )
    assert (
        png
        == picture(
            field(
                density=noisy.log_prob(grid(72)).exp(), arrows=noisy.score(grid(17)), extent=EXTENT
            )
        )
        and len(png) < 60_000
    )


# ---- the page
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A folder with a page of three mixtures, one for each kind of dynamics."""
    folder = tmp_path_factory.mktemp("page")
    found = [
        MixtureField(garden(), sigma=0.1, extent=EXTENT, caption="Drag.", alt="a mixture"),
        MixtureField(two_modes(), "langevin", extent=EXTENT, alt="particles that are shaken"),
        MixtureField(
            two_modes(),
            "reverse",
            sigma_max=6.0,
            extent=(-6, 6, -5, 5),
            alt="particles on their way back",
        ),
    ]
    return widget_page(
        folder, {f"m{i}": {"state": {"spec": w.spec}} for i, w in enumerate(found)}, "mixture"
    )


def centre(handle) -> tuple[float, float]:
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def shown(widget) -> dict:
    """What the widget says that it shows, once it has drawn."""
    widget.page.evaluate(DRAWN)
    return json.loads(widget.get_attribute("data-shown"))


def fingers(tab):
    """touch(kind, x, y): one finger, as the browser's engine sees it, so that the page may
    scroll."""
    session = tab.context.new_cdp_session(tab)
    return lambda kind, *xy: session.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": xy[0], "y": xy[1]}] if xy else []},
    )


def drag(tab, handle, dx: float, dy: float, how: str) -> None:
    handle.scroll_into_view_if_needed()
    x, y = centre(handle)
    if how == "touch":
        touch = fingers(tab)
        touch("touchStart", x, y)
        for k in range(1, 5):
            touch("touchMove", x + k * dx / 4, y + k * dy / 4)
        touch("touchEnd")
    else:
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x + dx, y + dy, steps=4)
        tab.mouse.up()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_control_moves_the_picture_and_reset_brings_it_back(page, width, new_tab):
    with served(page) as address:
        tab = new_tab(
            viewport={"width": width, "height": 800}, has_touch=True, device_scale_factor=2
        )
        found = complaints(tab)
        tab.goto(f"{address}/index.html")
        assert drive(tab, *HOWS) == 3
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert found == []


@pytest.mark.browser
@pytest.mark.parametrize("width, how", [(1280, "mouse"), (390, "touch")])
@pytest.mark.parametrize("where", ["server", "file"])
def test_handles_are_dragged(page, width, how, where, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": width, "height": 900}, has_touch=how == "touch")
        found = complaints(tab)
        tab.goto(f"{address}/index.html" if where == "server" else (page / "index.html").as_uri())
        for widget in widgets(tab):
            first, before, scroll = look(widget), shown(widget), tab.evaluate("scrollY")
            handle, knob = widget.locator(".sde-handle").nth(1), widget.locator(".sde-knob").first
            old, where_from = handle.get_attribute("aria-valuetext"), centre(handle)
            drag(tab, handle, 30, -20, how)
            scroll = tab.evaluate("scrollY")
            second, after = look(widget), shown(widget)
            assert second != first and handle.get_attribute("aria-valuetext") != old
            assert (
                centre(handle) == pytest.approx((where_from[0] + 30, where_from[1] - 20), abs=2.5)
                or scroll
            )  # it follows the pointer
            x0, x1, *_ = (
                EXTENT
                if len(before["components"]) == 3 or widget.get_by_role("radio").count() == 0
                else (-6, 6)
            )
            unit = (x1 - x0) / (widget.locator("canvas").bounding_box()["width"] - 47)
            moved = np.subtract(after["components"][1]["mean"], before["components"][1]["mean"])
            assert moved[0] == pytest.approx(30 * unit, abs=3 * unit)
            assert (
                after["components"][0] == before["components"][0]
                and handle.get_attribute("data-chosen") is not None
            )
            drag(tab, knob, 12, 9, how)
            third, wider = look(widget), shown(widget)["components"][1]
            assert third != second and (wider["stds"], wider["angle"]) != (
                after["components"][1]["stds"],
                after["components"][1]["angle"],
            )
            assert (
                wider["mean"] == after["components"][1]["mean"]
                and wider["stds"][1] == after["components"][1]["stds"][1]
            )
            assert tab.evaluate("scrollY") == scroll  # a finger on a handle does not scroll
            widget.get_by_role("button", name="Reset").click()
            assert look(widget) == first and shown(widget) == before
        assert found == []


@pytest.mark.browser
def test_handles_obey_the_keyboard(page, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 900})
        found = complaints(tab)
        tab.goto(f"{address}/index.html")
        widget = widgets(tab)[0]
        first = look(widget)
        handle, knob = (
            widget.get_by_role("slider", name="component 2", exact=True),
            widget.get_by_role("slider", name="spread of component 2 along axis 1"),
        )
        handle.focus()
        assert handle.evaluate(
            "h => getComputedStyle(h).outlineStyle"
        ) == "solid" or handle.evaluate("h => h.matches(':focus-visible')")
        assert handle.get_attribute("aria-valuetext").startswith(
            "at (1.5, −1.1), standard deviations"
        )
        begin = shown(widget)["components"][1]
        for key, change in (
            ("ArrowRight", (0.16, 0)),
            ("ArrowUp", (0, 0.16)),
            ("Shift+ArrowLeft", (-0.8, 0)),
            ("ArrowDown", (0, -0.16)),
        ):
            before = shown(widget)["components"][1]["mean"]
            tab.keyboard.press(key)
            after = shown(widget)["components"][1]["mean"]
            assert np.subtract(after, before) == pytest.approx(change, abs=1e-6), (
                key
            )  # 8 wide: 2 % and 10 %
        tab.keyboard.press("+")
        assert shown(widget)["components"][1]["stds"] == pytest.approx(
            [1.1 * s for s in begin["stds"]]
        )
        tab.keyboard.press("-")
        assert shown(widget)["components"][1]["stds"] == pytest.approx(begin["stds"])
        knob.focus()
        tab.keyboard.press("ArrowUp")
        assert shown(widget)["components"][1]["stds"] == pytest.approx(
            [1.05 * begin["stds"][0], begin["stds"][1]]
        )
        tab.keyboard.press("ArrowLeft")
        assert shown(widget)["components"][1]["angle"] == pytest.approx(
            begin["angle"] + math.pi / 36
        )
        assert look(widget) != first
        widget.get_by_role("button", name="Reset").press("Enter")
        assert look(widget) == first and tab.evaluate("scrollY") == 0 and found == []


@pytest.mark.browser
def test_components_come_and_go(page, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 900})
    tab.goto((page / "index.html").as_uri())
    widget = widgets(tab)[2]
    first = look(widget)
    add, remove = (
        widget.get_by_role("button", name="Add a component"),
        widget.get_by_role("button", name="Remove"),
    )
    for K in range(3, 7):
        add.click()
        state = shown(widget)
        assert (
            len(state["components"])
            == K
            == widget.locator(".sde-handle:not(.sde-knob):visible").count()
        )
        assert sum(c["weight"] for c in state["components"]) == pytest.approx(1) and state[
            "components"
        ][-1]["weight"] == pytest.approx(1 / K)
    assert add.is_disabled()
    for K in range(5, 0, -1):
        remove.click()
        assert sum(c["weight"] for c in shown(widget)["components"]) == pytest.approx(1)
    assert remove.is_disabled() and widget.locator('input[data-name="weight"]').is_hidden()
    widget.get_by_role("button", name="Reset").click()
    assert look(widget) == first
    weight = widget.locator('input[data-name="weight"]')
    weight.focus()
    tab.keyboard.press("ArrowLeft")
    assert [c["weight"] for c in shown(widget)["components"]] == pytest.approx([0.79, 0.21])
    assert (
        weight.get_attribute("aria-valuetext") == "0.79"
        and "weights 79 : 21 %" in widget.locator(".sde-note").inner_text()
    )


@pytest.mark.browser
def test_the_page_scrolls_by_touch_outside_the_handles(page, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
        tab.goto(f"{address}/index.html")
        widget = widgets(tab)[0]
        before, box = shown(widget), widget.locator("canvas").bounding_box()
        touch, (x, y) = (
            fingers(tab),
            (box["x"] + 0.85 * box["width"], box["y"] + 0.7 * box["height"]),
        )  # no handle is there
        touch("touchStart", x, y)
        for k in range(1, 9):
            touch("touchMove", x, y - 25 * k)
            tab.wait_for_timeout(20)
        touch("touchEnd")
        tab.wait_for_function("scrollY > 100", timeout=SECONDS)
        assert shown(widget) == before


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_particles_run_pause_and_begin_again(page, new_tab, motion):
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 900}, reduced_motion=motion)
        found = complaints(tab)
        tab.goto(f"{address}/index.html")
        still, shaken, back = widgets(tab)
        assert still.get_by_role("button", name="Play").count() == 0
        shaken.scroll_into_view_if_needed()
        first = look(shaken)
        assert shown(shaken)["steps"] == 0  # nothing moves by itself
        steps = "([w, n]) => JSON.parse(w.dataset.shown).steps >= n"
        runs = []
        for _ in range(2):
            shaken.evaluate("""w => { w.drawn = 0; w.watch?.disconnect();
                w.watch = new MutationObserver(() => w.drawn++);
                w.watch.observe(w, { attributeFilter: ['data-shown'] }); }""")
            shaken.get_by_role("button", name="Play").click()
            tab.wait_for_function(steps, arg=[shaken.element_handle(), 40], timeout=SECONDS)
            shaken.get_by_role("button", name="Pause").click()
            runs.append(look(shaken))
            if motion == "reduce":
                beats, rest = divmod(shown(shaken)["steps"], 20)
                assert rest == 0 and shaken.evaluate("w => w.drawn") <= beats + 2  # no flow
            assert look(shaken) == runs[-1] != first  # paused
            shaken.get_by_role("button", name="Reset").click()
            assert look(shaken) == first
        back.scroll_into_view_if_needed()
        begin, slider = look(back), back.locator('input[data-name="sigma"]')
        assert slider.get_attribute("aria-valuetext") == "6"
        slider.press(" ")  # the space bar plays
        back.get_by_role("button", name="Pause").wait_for(timeout=SECONDS)
        back.get_by_role("button", name="Play").wait_for(timeout=SECONDS)  # it stops by itself
        assert (
            slider.get_attribute("aria-valuetext") == "0.015" and float(slider.input_value()) == 0
        )  # σ_max/400
        flow = look(back)
        back.get_by_role("radio", name="reverse SDE").click()
        assert look(back) != flow
        back.get_by_role("radio", name="probability flow").click()
        assert look(back) == flow  # the same noise each time
        back.get_by_role("button", name="Reset").click()
        assert look(back) == begin and found == []


@pytest.mark.browser
def test_particles_stop_when_nobody_sees_them(page, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 500})
    tab.goto((page / "index.html").as_uri())
    shaken = widgets(tab)[1]
    shaken.get_by_role("button", name="Play").click()
    tab.wait_for_function(
        "w => JSON.parse(w.dataset.shown).steps > 0", arg=shaken.element_handle(), timeout=SECONDS
    )
    tab.evaluate("scrollTo(0, 0)")
    shaken.get_by_role("button", name="Play").wait_for(timeout=SECONDS)


@pytest.mark.browser
def test_the_picture_follows_the_theme(page, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 900})
        tab.goto(f"{address}/index.html")
        for widget in widgets(tab):
            light = look(widget)
            tab.evaluate("document.documentElement.dataset.theme = 'dark'")
            tab.wait_for_function(
                "w => w.dataset.theme === 'dark'", arg=widget.element_handle(), timeout=SECONDS
            )
            assert look(widget) != light
            tab.evaluate("document.documentElement.dataset.theme = 'light'")
            tab.wait_for_function(
                "w => w.dataset.theme === 'light'", arg=widget.element_handle(), timeout=SECONDS
            )
            assert look(widget) == light
