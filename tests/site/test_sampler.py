"""The sampler in the browser: its network against the denoiser, its solvers against sdelib on the
same noise, and its page."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import re
import shutil

import numpy as np
import pytest
import torch
from helpers import DRAWN, SECONDS, SITE, complaints, javascript, look, move, widgets

from sdelib.brownian import WhiteNoise
from sdelib.denoiser import NO_LABEL, SIGMA_MAX, SIGMA_MIN, first_time, score_from
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, SubVP
from sdelib.integration import Counted, integrate
from sdelib.own import weights
from sdelib.own.by_name import GRIDS, SOLVERS, sample_denoiser
from sdelib.own.weights import BUNDLED
from sdelib.reversal import Reverse, denoise
from sdelib.widgets import bundle

NAME, PAGE = "denoiser-small", "book/sampler.html"
SDES = {"VE": VE(0.01, 80.0), "VE 25ᵗ": VE.power(25), "VP": VP(), "sub-VP": SubVP()}
HERE = [name for name in SOLVERS if name not in ("milstein", "heun-ito", "probability-flow-rk45")]


# ---- the network as ONNX
# ---------------------------------------------------------------------------


def test_the_network_is_small_and_comes_from_the_bundled_weights():
    onnx = pytest.importorskip("onnx")
    path = weights.checked(f"{NAME}.onnx")
    facts = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert path.stat().st_size <= 1_500_000
    assert facts["weights"] == NAME
    assert facts["weights_sha256"] == weights.sha256(BUNDLED / f"{NAME}.safetensors"), (
        "run python tools/once/export_onnx.py"
    )


def test_onnx_runtime_computes_the_denoiser(generator):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(BUNDLED / f"{NAME}.onnx", providers=["CPUExecutionProvider"])
    network, n = weights.load(NAME), 88
    sigma = torch.logspace(np.log10(SIGMA_MIN), np.log10(SIGMA_MAX), n)
    label = torch.arange(NO_LABEL, 10).repeat(n // 11)[torch.randperm(n, generator=generator)]
    x = torch.rand(n, 1, 28, 28, generator=generator) + sigma[:, None, None, None] * torch.randn(
        n, 1, 28, 28, generator=generator
    )
    [found] = session.run(
        None, {"x": x.numpy(), "sigma": sigma.numpy(), "label": label.int().numpy()}
    )
    # D = m + c_skip (x − m) + c_out F: a few roundings of the first part, and c_out times the error
    # of F, which is of order 1. A layer adds up some 500 terms in another order: √500 eps = 1.3e-6
    # (eps = 6e-8). Some 25 layers follow each other: 3e-5.
    skip, out = network.outer(sigma)
    off = 1e-6 + 4 * 6e-8 * (skip[:, None, None, None] * x).abs() + 3e-5 * out[:, None, None, None]
    assert (torch.from_numpy(found) - network(x, sigma, label)).abs().div(off).max() < 1
    wrong = network(x, sigma, (label + 1) % 10)
    assert (torch.from_numpy(found) - wrong).abs().div(off).flatten(1).max(
        1
    ).values.min() > 1  # every label is heard


# ---- the solvers, in Node
# --------------------------------------------------------------------------


class Tape:
    """Within it, every normal number that sdelib's noise draws is kept in `z`, in order."""

    def __enter__(self):
        self.z, self.patch, plain = [], pytest.MonkeyPatch(), WhiteNoise.normal
        self.patch.setattr(
            WhiteNoise, "normal", lambda noise: self.z.append(plain(noise)) or self.z[-1]
        )
        return self

    def __exit__(self, *error):
        self.patch.undo()


MIXTURE = GaussianMixture(
    [0.3, 0.5, 0.2],
    torch.tensor([[-0.7, 0.2], [0.7, -0.3], [0.1, 1.0]], dtype=torch.float64),
    [0.1, 0.2, 0.05],
)


def exact(y, sigma, label=None):
    """E[x₀ | y] = y + σ² ∇ log p_σ(y)."""
    return y + sigma[0] ** 2 * MIXTURE.blurred(float(sigma[0])).score(y)


def states_of(sde, solver, grid, evaluations, seed):
    """(states, image, evaluations, normal numbers) of `sample_score` in float64."""
    generator = torch.Generator().manual_seed(seed)
    score, chosen = Counted(score_from(exact, sde)), SOLVERS[solver]
    steps, stop = chosen.steps(evaluations), first_time(sde, 1.0001 * SIGMA_MIN)
    with Tape() as tape:
        z = torch.randn(5, 2, generator=generator, dtype=torch.float64)
        x = sde.prior_std * z
        states = [
            x,
            *integrate(
                Reverse(sde, score, chosen.eta),
                x,
                GRIDS[grid](sde, sde.T, stop, steps),
                chosen.make(steps, generator),
                noise=WhiteNoise(x, generator=generator),
            ),
        ]
        image = denoise(sde, score, states[-1], torch.tensor(stop, dtype=torch.float64))
    return states, image, score.calls, [z, *tape.z]


RUN = """const { cases, weights, means, variances } = data;
function denoiser(y, sigma) { // Σ r_k (σ² m_k + v_k y)/(v_k + σ²)
  const D = new Float64Array(y.length);
  for (let i = 0; i < y.length; i += 2) {
    const v = variances.map((s) => s + sigma ** 2),
      far = (m) => (y[i] - m[0]) ** 2 + (y[i + 1] - m[1]) ** 2;
    const e = weights.map((w, k) => Math.log(w / v[k]) - far(means[k]) / (2 * v[k])),
      top = Math.max(...e);
    const r = e.map((a) => Math.exp(a - top)), total = r.reduce((a, b) => a + b);
    const D_k = (k, c) => (sigma ** 2 * means[k][c] + variances[k] * y[i + c]) / v[k];
    for (const c of [0, 1]) D[i + c] = r.reduce((d, a, k) => d + a * D_k(k, c), 0) / total;
  }
  return D;
}
const out = [];
for (const { process, solver, grid, evaluations, z } of cases) {
  const states = [], draw = () => Float64Array.from(z[j++]);
  let j = 0;
  for await (const s of m.sample({ denoiser, sde: m.PROCESSES[process](80), name: solver, grid,
    evaluations, draw }))
    states.push({ t: s.t, x: [...s.x], guess: [...s.guess], evaluations: s.evaluations });
  out.push({ states, drawn: j });
}
const solvers = Object.fromEntries(Object.entries(m.SOLVERS).map(([name, s]) => [name, [s.eta,
  s.cost]]));
return { out, solvers };
"""
CASES = [(process, solver, "karras") for process in SDES for solver in HERE] + list(
    itertools.product(SDES, ("euler-maruyama", "dpm++2m", "edm-churn"), ("uniform", "geometric"))
)


@pytest.fixture(scope="module")
def both():
    """case → (what sdelib gives, what the page's module gives); and the module's table of
    solvers."""
    ours = {
        case: states_of(SDES[case[0]], case[1], case[2], 12, seed)
        for seed, case in enumerate(CASES)
    }
    data = {
        "weights": MIXTURE.weights.tolist(),
        "means": MIXTURE.means.tolist(),
        "variances": MIXTURE.covariances[:, 0, 0].tolist(),
        "cases": [
            {
                "process": p,
                "solver": s,
                "grid": g,
                "evaluations": 12,
                "z": [z.flatten().tolist() for z in ours[p, s, g][3]],
            }
            for p, s, g in CASES
        ],
    }
    found = javascript(RUN, "processes", "solvers", **data)
    return {case: (ours[case], theirs) for case, theirs in zip(CASES, found["out"])}, found[
        "solvers"
    ]


def test_the_page_has_every_solver_that_needs_neither_autograd_nor_scipy(both):
    assert both[1] == {name: [SOLVERS[name].eta, SOLVERS[name].evaluations] for name in HERE}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_solver_is_that_of_sdelib_on_the_same_noise(case, both):
    (states, image, evaluations, z), found = both[0][case]
    js = [torch.tensor(s["x"], dtype=torch.float64).reshape(5, 2) for s in found["states"]]
    assert (
        len(js) == len(states)
        and found["states"][-1]["evaluations"] == evaluations
        and found["drawn"] == len(z)
    )
    # Both compute the same formulas in float64, in another order. The score divides by σ², 4e-6 at
    # the end, and the step multiplies by it again, so an evaluation and a step leave some ten eps =
    # 2.2e-16 of x. Twelve of them, each multiplied by what the later steps do to a difference:
    # 1e-11 leaves room for a factor of 400. A wrong term shows in the third digit: see the next
    # test.
    for a, b in zip(js, states):
        assert torch.allclose(a, b, rtol=0, atol=1e-11 * float(b.abs().max()))
    guess = torch.tensor(found["states"][-1]["guess"], dtype=torch.float64).reshape(5, 2)
    assert torch.allclose(guess, image, rtol=0, atol=1e-11 * float(image.abs().max()))


def test_the_comparison_tells_solvers_apart():
    flows = [name for name in HERE if SOLVERS[name].eta == 0 and name != "edm-churn"]
    ends = {name: states_of(VP(), name, "karras", 12, 0)[0][-1] for name in flows}
    for a, b in itertools.combinations(flows, 2):
        assert (ends[a] - ends[b]).abs().max() > 1e-3, f"{a} and {b}"


# ---- the network and the solvers, in Chromium
# ------------------------------------------------------

PREPARE = f"""async () => {{
  {"".join(map(bundle.closed, bundle.order("sampler")))}
  const script = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
  const {{ spec }} = JSON.parse(script.textContent).state.sampler.state;
  window.m = {{ ...$processes, ...$solvers, ...$network }};
  window.signal = new AbortController().signal;
  window.team = await m.network(spec, "wasm", signal, () => {{}});
  return team.workers;
}}"""
SAMPLE = """async ({ process, solver, grid, evaluations, sigmaMax, z, labels }) => {
  const noise = z.map((text) => new Float32Array(Uint8Array.from(atob(text),
    (c) => c.charCodeAt(0)).buffer));
  const denoiser = (y, sigma) => team.denoise(y, sigma, Int32Array.from(labels), signal),
    sde = m.PROCESSES[process](sigmaMax);
  let j = 0, last;
  for await (last of m.sample({ denoiser, sde, name: solver, grid, evaluations,
    draw: () => noise[j++] }));
  return { image: [...last.guess], evaluations: last.evaluations, drawn: j };
}"""


@pytest.fixture(scope="module")
def loaded(site, browser):
    """A tab with the page's module `m` and its network `team` in WebAssembly."""
    tab = browser.new_context().new_page()
    tab.goto(f"{site}/{PAGE}")
    assert 1 <= tab.evaluate(PREPARE) <= 4
    yield tab
    tab.context.close()


@pytest.mark.browser
@pytest.mark.xdist_group("sampler network")
@pytest.mark.parametrize(
    "process, solver, grid, sigma_max",
    [
        *((p, "dpm++2m", "karras", 80) for p in SDES),
        *(
            ("VE", s, "karras", 80)
            for s in HERE
            if s not in ("dpm++2m", "platen", "reverse-diffusion")
        ),  # for VE these repeat others
        ("VE", "dpm++2m", "karras", 160),
        ("VE", "dpm++2m", "uniform", 5),
        ("VP", "edm-churn", "geometric", 80),
    ],
)
def test_the_browser_draws_what_sdelib_draws(process, solver, grid, sigma_max, loaded):
    evaluations = (
        40 if solver in ("heun", "probability-flow-heun", "sra", "predictor-corrector") else 10
    )  # with 10 these leave noise
    n, seed = 2, 7
    sde, labels = VE(0.01, sigma_max) if process == "VE" else SDES[process], [NO_LABEL, 9]
    with Tape() as tape:
        images, nfe = sample_denoiser(
            weights.load(NAME),
            sde,
            n,
            label=torch.tensor(labels),
            solver=solver,
            evaluations=evaluations,
            grid=grid,
            generator=torch.Generator().manual_seed(seed),
        )
    noise = [torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed)), *tape.z]
    found = loaded.evaluate(
        SAMPLE,
        {
            "process": process,
            "solver": solver,
            "grid": grid,
            "evaluations": evaluations,
            "sigmaMax": sigma_max,
            "labels": labels,
            "z": [base64.b64encode(z.numpy().tobytes()).decode() for z in noise],
        },
    )
    image = torch.tensor(found["image"]).reshape(images.shape).clamp(0, 1)
    assert (found["evaluations"], found["drawn"]) == (nfe, len(noise))
    # Each evaluation errs by some 1e-6 (see above), and sdelib's states are float32 here: at σ = 80
    # they are rounded by 80·6e-8 = 5e-6, the page's are float64. Ten steps follow, and where a
    # garment is not yet decided a difference grows. A thousandth is a quarter of a grey level, and
    # 100 times those errors.
    off, seen = (image - images).abs(), float(((images > 0) & (images < 1)).float().mean())
    assert off.max() < 1e-3 and off.square().mean().sqrt() < 1e-4
    assert seen > 0.2 or solver in ("euler-maruyama", "annealed-langevin"), (
        "pictures of black and white grains compare nothing"
    )


# ---- the page
# --------------------------------------------------------------------------------------

IDLE = "w => w.hasAttribute('data-ready') && !w.hasAttribute('data-busy')"


@pytest.fixture(scope="module")
def desk(site, browser):
    """(tab, widget, complaints) of a reader who stays for several tests: the network is fetched
    once."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    tab = context.new_page()
    found = complaints(tab)
    tab.goto(f"{site}/{PAGE}", wait_until="networkidle")
    [widget] = widgets(tab)
    yield tab, widget, found
    context.close()


@pytest.fixture
def visit(desk):
    """The desk with every control at its start. Which tests were here before is not known:
    pytest-xdist deals them out as browsers are free."""
    tab, widget, found = desk
    put(widget, **starts(tab))
    return tab, widget, found


def starts(tab) -> dict:
    """Where the controls stand when the page opens."""
    spec = tab.evaluate("""() => JSON.parse(document.querySelector(
        'script[type="application/vnd.jupyter.widget-state+json"]').textContent)
      .state.sampler.state.spec""")
    return {
        c["name"]: c["keys"][c["start"]] if "keys" in c else c["start"]
        for c in (*spec["controls"], spec["show"])
    }


def shown(widget) -> dict:
    """What the widget says that it shows, once it has drawn."""
    widget.page.evaluate(DRAWN)
    return json.loads(widget.get_attribute("data-shown"))


def ready(widget) -> dict:
    widget.page.wait_for_function(IDLE, arg=widget.element_handle(), timeout=SECONDS)
    return shown(widget)


def button(widget, name):
    return widget.get_by_role("button", name=name)


def put(widget, **values) -> None:
    """Set controls by their names: a list by its value, a switch by its words, a slider by its
    number, the seed by its text."""
    for name, value in values.items():
        control = widget.locator(f'[data-name="{name}"]')
        kind = control.evaluate("c => c.tagName + (c.type || '')")
        if kind.startswith("SELECT"):
            control.select_option(value)
        elif kind == "INPUTtext":
            control.fill(value)
        elif kind == "INPUTrange":
            if control.get_attribute("aria-valuetext") != str(value):
                control.focus()
                widget.page.keyboard.press("Home")
            while control.get_attribute("aria-valuetext") != str(value):
                widget.page.keyboard.press("ArrowRight")
        else:
            control.get_by_text(value, exact=True).click()


def load_of(*runtime) -> tuple[list, int]:
    """The files that a click fetches, and their size in whole megabytes."""
    files = [SITE / "_static" / "vendor" / "onnxruntime" / name for name in runtime] + [
        SITE / "_static" / f"{NAME}.onnx"
    ]
    return files, round(sum(f.stat().st_size for f in files) / 1e6)


@pytest.mark.browser
def test_nothing_heavy_comes_before_the_click_and_all_of_it_from_here(site, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 1000})
    found, asked = complaints(tab), []
    tab.on("request", lambda r: asked.append(r.url))
    tab.goto(f"{site}/{PAGE}", wait_until="networkidle")
    [widget] = widgets(tab)
    heavy = [u for u in asked if any(word in u for word in ("onnx", "worker", ".wasm"))]
    assert (
        heavy == []
        and widget.locator(".sde-note").inner_text()
        == "Drawn when the book was built. Press Draw for your own."
    )
    still = look(widget)
    files, megabytes = load_of("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
    assert button(widget, "Draw").inner_text() == f"Draw 16 garments (fetches {megabytes} MB)"
    before = len(asked)
    button(widget, "Draw").click()
    assert button(widget, "Draw").is_disabled()
    last = ready(widget)
    fetched = {
        u.removeprefix(f"{site}/_static/") for u in asked[before:] if not u.startswith("blob:")
    }
    assert fetched == {
        "denoise.worker.js",
        *(f.relative_to(SITE / "_static").as_posix() for f in files),
    }
    assert (last["at"], last["steps"], last["evaluations"], last["planned"], last["device"]) == (
        17,
        17,
        18,
        18,
        "wasm",
    )
    assert 1 <= last["workers"] <= 4
    words = (
        "WebAssembly, 1 worker"
        if last["workers"] == 1
        else f"WebAssembly, {last['workers']} workers"
    )
    assert (
        widget.locator(".sde-status").inner_text()
        == f"Done: 18 evaluations in {last['seconds']:.2f} s on {words}."
    )
    assert (
        widget.locator(".sde-note").inner_text()
        == f"step 17 of 17, noise σ = 0.002, 18 of 18 evaluations, {last['seconds']:.2f} s"
    )
    assert button(widget, "Draw").inner_text() == "Draw 16 garments" and look(widget) != still
    assert found == []


@pytest.mark.browser
@pytest.mark.xdist_group("sampler")
def test_the_same_seed_draws_the_same_and_another_draws_others(visit):
    tab, widget, found = visit
    pictures = []
    for seed in ("3", "4", "3"):
        put(widget, solver="dpm++2m", evaluations=6, seed=seed)
        button(widget, "Draw").click()
        assert ready(widget)["evaluations"] == 6
        pictures.append(look(widget))
    assert pictures[0] == pictures[2] != pictures[1]
    button(widget, "New seed").click()  # the network is there: it draws at once
    assert (
        ready(widget)["seed"] == int(widget.locator('[data-name="seed"]').input_value())
        and look(widget) not in pictures
    )
    assert found == []


@pytest.mark.browser
@pytest.mark.xdist_group("sampler")
@pytest.mark.parametrize(
    "solver, sde, evaluations",
    [
        ("heun", "VP", 8),
        ("edm-churn", "sub-VP", 2),
        ("annealed-langevin", "VE 25ᵗ", 5),
        ("dpm++2m-sde", "VE", 4),
    ],
)
def test_the_count_is_that_of_sdelib(solver, sde, evaluations, visit):
    tab, widget, found = visit
    put(
        widget,
        solver=solver,
        sde=sde,
        evaluations=evaluations,
        label="7",
        grid="geometric",
        seed="1",
    )
    assert widget.locator('[data-name="sigma_max"]').is_visible() == (sde == "VE")
    button(widget, "Draw").click()
    last, steps = ready(widget), SOLVERS[solver].steps(evaluations)
    assert (
        last["steps"] == steps
        and last["evaluations"] == last["planned"] == steps * SOLVERS[solver].evaluations + 1
    )
    assert (
        f"Done: {last['evaluations']} evaluations" in widget.locator(".sde-status").inner_text()
        and found == []
    )


@pytest.mark.browser
@pytest.mark.xdist_group("sampler")
@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_the_states_can_be_seen_again(how, visit):
    tab, widget, found = visit
    put(
        widget,
        solver="dpm++2m",
        sde="VE",
        evaluations=8,
        label="turn",
        grid="karras",
        seed="2",
        show="the state x",
    )
    button(widget, "Draw").click() if how == "mouse" else button(widget, "Draw").press("Enter")
    assert ready(widget)["at"] == 7
    end, reel = look(widget), widget.locator('[data-name="state"]')
    move(tab, reel, 0.0, how)
    first = shown(widget)
    assert (first["at"], first["evaluations"]) == (0, 1)
    assert (
        widget.locator(".sde-note")
        .inner_text()
        .startswith("step 0 of 7, noise σ = 80, 1 of 8 evaluations")
    )
    noise = look(widget)
    guess = widget.get_by_role("radio", name="the guess D(x)")
    guess.click() if how == "mouse" else guess.press("Enter")
    assert shown(widget)["denoised"] and look(widget) not in (noise, end)
    move(tab, reel, 4 / 7, how)
    assert shown(widget)["at"] == 4
    put(widget, show="the state x")
    move(tab, reel, 1.0, how)
    assert look(widget) == end and found == []
    label = widget.locator("canvas").get_attribute("aria-label")
    assert "step 7 of 7" in label and "dpm++2m, VE" in label


@pytest.mark.browser
@pytest.mark.xdist_group("sampler")
def test_stop_stops(visit):
    tab, widget, found = visit
    put(widget, evaluations=200, seed="5")
    assert button(widget, "Stop").is_disabled()
    button(widget, "Draw").click()
    tab.wait_for_function(
        "w => { const { at, planned } = JSON.parse(w.dataset.shown); return at >= 2 "
        "&& planned === 200; }",
        arg=widget.element_handle(),
        timeout=SECONDS,
    )
    button(widget, "Stop").click()
    last = ready(widget)
    assert 3 <= last["evaluations"] < 200
    assert (
        widget.locator(".sde-status").inner_text()
        == f"Stopped after {last['evaluations']} of 200 evaluations."
    )
    reel = widget.locator('[data-name="state"]')
    assert reel.get_attribute("max") == str(last["at"])
    put(widget, evaluations=2, seed="0")
    button(widget, "Draw").click()
    assert ready(widget)["evaluations"] == 2 and found == []


# Draw, wait, Stop (and again, as an impatient reader does). Then, where asked, Draw at once, and
# wait for the end.
STOPS = """async (w, [delays, again]) => {
  const [draw, halt] = w.querySelectorAll('.sde-actions button'), out = [],
    later = (ms) => new Promise((done) => setTimeout(done, ms));
  const idle = async (patience) => {
    const began = performance.now();
    while (w.hasAttribute('data-busy') && performance.now() - began < patience) await later(0);
    return [w.hasAttribute('data-busy') ? null : performance.now() - began,
      w.querySelector('.sde-status').textContent];
  };
  for (const delay of delays) {
    draw.click();
    await later(delay);
    halt.click(); halt.click();
    const stopped = await idle(60000);
    if (again) draw.click();
    out.push([delay, ...stopped, ...await idle(60000)]);
  }
  return out;
}"""


@pytest.mark.browser
@pytest.mark.xdist_group("sampler")
def test_stop_may_come_at_any_moment(visit, say):
    """And the next drawing is the same as without it: an answer that was under way is not taken for
    one of the next."""
    tab, widget, found = visit
    put(widget, evaluations=6, seed="3")
    button(widget, "Draw").click()
    ready(widget)
    whole, stopped, longest = look(widget), 0, 0
    for delay in (0, 3, 8, 15, 25, 40, 60, 85, 120, 160, 220):
        [[_, waited, words, drawn, last]] = widget.evaluate(STOPS, [[delay], True])
        assert waited is not None, f"Stop after {delay} ms was not heard: {words}"
        assert re.fullmatch(
            r"Stopped after [0-6] of 6 evaluations\.|Done: 6 evaluations in .*", words
        )
        assert (
            drawn is not None and last.startswith("Done: 6 evaluations") and look(widget) == whole
        )
        stopped, longest = stopped + words.startswith("Stopped"), max(longest, waited)
    say(
        f"the sampler: {stopped} of 11 Stops came before the end, the page obeyed "
        f"within {longest:.0f} ms"
    )
    assert stopped >= 1 and found == []


@pytest.mark.browser
def test_stop_is_heard_while_the_network_comes(site, new_tab):
    tab, uncaught = new_tab(), []
    tab.on("pageerror", lambda error: uncaught.append(error))
    tab.goto(f"{site}/{PAGE}")
    [widget] = widgets(tab)
    put(widget, evaluations=2)
    for delay, waited, words, *_ in widget.evaluate(STOPS, [[0, 1, 10, 50, 150, 400, 800], False]):
        assert waited is not None, f"Stop after {delay} ms was not heard: {words}"
        assert words == "Stopped." or words.startswith(("Stopped after", "Done"))
    tab.reload()
    [widget] = widgets(tab)
    for file, words in {
        f"{NAME}.onnx": "Fetching the network: ",
        "ort-wasm-simd-threaded.wasm": "Fetching the network: ",
        "denoise.worker.js": "Starting the network on WebAssembly …",
        "ort.wasm.bundle.min.mjs": "Starting the network on WebAssembly …",
    }.items():
        held = []
        tab.route(f"**/{file}", lambda route: held.append(route))  # and never an answer
        button(widget, "Draw").click()
        until(tab, lambda: held)
        assert widget.locator(".sde-status").inner_text().startswith(words)
        button(widget, "Stop").click()
        tab.wait_for_function(IDLE, arg=widget.element_handle(), timeout=SECONDS)
        assert (
            widget.locator(".sde-status").inner_text() == "Stopped."
            and widget.get_attribute("data-error") is None
        )
        tab.unroute(f"**/{file}")
    put(widget, evaluations=2)
    button(widget, "Draw").click()
    assert ready(widget)["evaluations"] == 2 and uncaught == []


def until(tab, true) -> None:
    for _ in range(SECONDS // 50):
        if true():
            return
        tab.wait_for_timeout(50)
    raise AssertionError("it did not come true")


WORN = {
    "mute": "",
    "silent": "onmessage = ({ data: { id, runtime } }) => { if (runtime) postMessage({ id }); };",
    "failing": "onmessage = ({ data: { id, runtime } }) => { setTimeout(() => "
    "postMessage(runtime ? { id } : { id, error: 'worn out' }), 2000); };",
}


@pytest.mark.browser
def test_workers_that_do_not_work_are_named(site, new_tab):
    tab, uncaught = new_tab(), []
    tab.on("pageerror", lambda error: uncaught.append(error))
    tab.clock.install()  # so that two minutes pass in a moment
    tab.goto(f"{site}/{PAGE}")
    [widget] = widgets(tab)
    put(widget, evaluations=4)
    said, first = widget.locator(".sde-status"), button(widget, "Draw").inner_text()

    def begin(words):
        button(widget, "Draw").click()
        until(tab, lambda: said.inner_text() == words)

    def ends(words, error):
        tab.wait_for_function(IDLE, arg=widget.element_handle(), timeout=SECONDS)
        assert (
            said.inner_text()
            == words + error * " Look whether the site is still in reach, then press Draw again."
        )
        assert (widget.get_attribute("data-error") is not None) == error

    def workers(kind):
        tab.unroute_all()
        tab.route(
            "**/denoise.worker.js",
            lambda route: route.fulfill(body=WORN[kind], content_type="text/javascript"),
        )

    starting, drawing, silence = (
        "Starting the network on WebAssembly …",
        "Drawing on WebAssembly …",
        "denoise.worker.js gave no answer for 120 seconds.",
    )
    workers("mute")
    begin(starting)
    button(widget, "Stop").click()
    ends("Stopped.", False)
    begin(starting)
    tab.clock.run_for(121_000)
    ends(f"The network could not be loaded: {silence}", True)
    workers("silent")
    begin(drawing)
    button(widget, "Stop").click()
    ends("Stopped after 0 of 4 evaluations.", False)
    assert button(widget, "Draw").inner_text() == "Draw 16 garments"  # an answer may still come
    begin(drawing)
    tab.clock.run_for(121_000)
    ends(f"The network stopped: {silence}", True)
    begin(drawing)
    tab.clock.run_for(11_000)
    button(widget, "Stop").click()
    ends("Stopped after 0 of 4 evaluations.", False)
    assert button(widget, "Draw").inner_text() == first  # such workers are given up
    workers("failing")
    begin(drawing)
    button(widget, "Stop").click()
    ends("Stopped after 0 of 4 evaluations.", False)
    begin(drawing)
    until(tab, lambda: said.inner_text() != drawing)
    ends("The network stopped: worn out.", True)
    tab.unroute_all()
    button(widget, "Draw").click()
    assert (
        ready(widget)["evaluations"] == 4
        and said.inner_text().startswith("Done: 4 evaluations")
        and uncaught == []
    )


@pytest.mark.browser
@pytest.mark.xdist_group("sampler")
@pytest.mark.parametrize("text", ["", "−3", "1.5", "garment", "9007199254740992"])
def test_a_bad_seed_is_named(text, visit):
    tab, widget, found = visit
    before = shown(widget)
    put(widget, seed=text)
    button(widget, "Draw").click()
    words = widget.locator(".sde-status")
    assert (
        words.inner_text() == f"seed = {text or '(nothing)'}: give a whole number from 0 to "
        "9007199254740991, or press New seed"
    )
    assert (
        words.get_attribute("data-kind") == "error"
        and widget.locator('[data-name="seed"]').get_attribute("aria-invalid") == "true"
    )
    assert shown(widget) == before and found == []
    put(widget, seed="9007199254740991", evaluations=2)
    widget.locator('[data-name="seed"]').press("Enter")
    assert (
        ready(widget)["seed"] == 9007199254740991
        and widget.locator('[data-name="seed"]').get_attribute("aria-invalid") is None
    )


@pytest.mark.browser
def test_on_a_phone_in_the_dark(site, new_tab):
    tab = new_tab(
        "dark", viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2
    )
    found = complaints(tab)
    tab.route("**/host.js*", lambda route: route.abort())
    tab.goto(f"{site}/{PAGE}")
    held = tab.locator(".widget-host").bounding_box()["height"]
    tab.unroute("**/host.js*")
    found.clear()
    tab.goto(f"{site}/{PAGE}")
    [widget] = widgets(tab)
    tab.wait_for_function("!document.querySelector('.sde-still')", timeout=SECONDS)
    assert (
        abs(tab.locator(".widget-host").bounding_box()["height"] - held) < 24
    )  # the picture held the widget's place
    assert widget.get_attribute("data-theme") == "dark"
    put(widget, evaluations=4)
    for name in ("solver", "sigma_max", "evaluations", "label", "seed"):
        control = widget.locator(f'[data-name="{name}"]')
        assert control.evaluate("c => c.labels.length === 1 && c.labels[0].textContent !== ''"), (
            name
        )
        assert control.bounding_box()["height"] >= 30
    button(widget, "Draw").tap()
    assert ready(widget)["evaluations"] == 4
    end = look(widget)
    move(tab, widget.locator('[data-name="state"]'), 0.0, "touch")
    assert shown(widget)["at"] == 0 and look(widget) != end
    widget.get_by_role("radio", name="the guess D(x)").tap()
    assert shown(widget)["denoised"]
    dark = look(widget)
    tab.evaluate("document.documentElement.dataset.theme = 'light'")
    assert look(widget) != dark
    assert tab.evaluate("document.documentElement.scrollWidth") == 390 and found == []


@pytest.mark.browser
def test_from_a_file_it_says_what_to_do(site, new_tab):
    tab = new_tab()
    found = complaints(tab)
    tab.goto((SITE / PAGE).as_uri())
    [widget] = widgets(tab)
    assert "python -m http.server" in widget.locator(".sde-status").inner_text()
    assert (
        button(widget, "Draw").is_disabled()
        and button(widget, "New seed").is_disabled()
        and button(widget, "Stop").is_disabled()
    )
    assert found == []


NO_CARD = """const requestAdapter = async () => ({ info: {}, features: new Set(), limits: {} });
Object.defineProperty(navigator, "gpu", { value: { requestAdapter } });"""
FAULTS = {
    f"{NAME}.onnx": "did not come (404)",
    "ort.wasm.bundle.min.mjs": "Failed to fetch",
    "denoise.worker.js": "did not start",
}


@pytest.mark.browser
def test_what_fails_is_named_and_can_be_tried_again(site, new_tab):
    """A graphics card that is promised and does not work: WebAssembly takes over. Then files that
    do not come, one after the other."""
    tab = new_tab()
    tab.add_init_script(NO_CARD)
    tab.goto(f"{site}/{PAGE}")
    [widget] = widgets(tab)
    _, megabytes = load_of("ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm")
    tab.wait_for_function(
        "n => document.querySelector('.sde-actions button').textContent === `Draw 16 "
        "garments (fetches ${n} MB)`",
        arg=megabytes,
        timeout=SECONDS,
    )
    put(widget, evaluations=2)
    for file, fault in FAULTS.items():
        tab.route(f"**/{file}", lambda route: route.fulfill(status=404))
        button(widget, "Draw").click()
        tab.wait_for_function(IDLE, arg=widget.element_handle(), timeout=SECONDS)
        words = widget.locator(".sde-status").inner_text()
        assert (
            words.startswith("The network could not be loaded: ")
            and file in words
            and fault in words
            and "press Draw again" in words
        )
        assert widget.get_attribute("data-error") is not None
        tab.unroute(f"**/{file}")
    button(widget, "Draw").click()
    assert ready(widget)["device"] == "wasm" and widget.get_attribute("data-error") is None
    words = widget.locator(".sde-status").inner_text()
    assert words.startswith("Done: 2 evaluations") and "on WebAssembly" in words


@pytest.mark.browser
@pytest.mark.slow
def test_webgpu_computes_the_denoiser(site, browser):
    """On a graphics card that the processor imitates."""
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    imitated = [
        "--no-sandbox",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-unsafe-swiftshader",
    ]
    other = browser.browser_type.launch(executable_path=path, args=imitated)
    try:
        tab = other.new_page()
        tab.goto(f"{site}/{PAGE}")
        if not tab.evaluate(
            "async () => 'Suspending' in WebAssembly && !!(await navigator.gpu?.requestAdapter())"
        ):
            pytest.skip("this Chromium imitates no graphics card")
        tab.evaluate(PREPARE.replace('network(spec, "wasm"', 'network(spec, "webgpu"'))
        y = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        found = tab.evaluate(
            "async (y) => [team.device, [...await team.denoise(Float64Array.from(y), "
            "0.3, Int32Array.from([5]), signal)]]",
            y.flatten().tolist(),
        )
        D = weights.load(NAME)(y, torch.tensor([0.3]), torch.tensor([5]))
        # exp, tanh and division may be off by some units in the last place on a graphics card: 1e-3
        # is a quarter of a grey level
        assert (
            found[0] == "webgpu"
            and (torch.tensor(found[1]).reshape(D.shape) - D).abs().max() < 1e-3
        )
    finally:
        other.close()


@pytest.mark.browser
def test_without_javascript_a_picture_and_a_sentence_stand_there(site, new_tab):
    tab = new_tab(java_script_enabled=False)
    tab.goto(f"{site}/{PAGE}")
    picture = tab.locator(".sde-still img")
    assert picture.is_visible() and picture.bounding_box()["width"] > 200
    assert "Your browser runs no JavaScript" in tab.locator(".sde-caption").inner_text()
    assert not tab.locator(".sde-still button").first.is_visible()
    parameters = sum(p.numel() for p in weights.load(NAME).parameters())
    assert (
        f"{parameters:,} parameters, {(BUNDLED / f'{NAME}.onnx').stat().st_size / 1e6:.1f} MB"
        in tab.locator("main").inner_text()
    )


# ---- the words
# -------------------------------------------------------------------------------------


def test_the_page_promises_what_happens():
    """What book/sampler.md says that the reader will see, measured with sdelib."""
    network, far = weights.load(NAME), lambda a, b: float((a - b).square().mean().sqrt())

    @functools.cache
    def draw(solver, evaluations, process="VE", sigma_max=80.0):
        sde = VE(0.01, sigma_max) if process == "VE" else SDES[process]
        return sample_denoiser(
            network,
            sde,
            6,
            label=torch.arange(6),
            solver=solver,
            evaluations=evaluations,
            generator=torch.Generator().manual_seed(3),
        )[0]

    settled = draw("dpm++2m", 50)  # "stay who they are": beside 0.3 between different garments
    assert far(draw("dpm++2m", 8), settled) < 0.08 and far(draw("dpm++2m", 18), settled) < 0.04
    assert far(draw("ddim", 100), settled) < 0.04 and far(draw("edm-heun", 100), settled) < 0.04
    assert far(draw("dpm++2m-sde", 18), draw("dpm++2m-sde", 50)) > 0.2
    edges = lambda x: float(x.diff(dim=-1).abs().mean())
    grey = draw("probability-flow-euler", 8)  # shapes without detail
    assert edges(grey) < 0.75 * edges(settled) and far(grey, settled) > 0.15
    for grains in (draw("euler-maruyama", 8), draw("annealed-langevin", 100)):
        assert grains.flatten(1).std(1).min() > 0.45  # black and white in equal parts have 0.5
    assert draw("dpm++2m", 18, "VE", 5.0).mean() < 0.7 * settled.mean()  # pale
    assert draw("dpm++2m", 18, "VE 25ᵗ").mean() < 0.85 * settled.mean()
    assert far(draw("dpm++2m", 18, "VP"), draw("dpm++2m", 18)) < 0.04
    assert far(draw("dpm++2m", 18, "sub-VP"), draw("dpm++2m", 18, "VP")) < 1e-3
    assert far(draw("probability-flow-euler", 18, "VP"), draw("probability-flow-euler", 18)) > 0.15
