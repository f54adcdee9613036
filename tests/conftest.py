"""What all tests share: where the data are, where the site is, a browser, and an honest count of
what was skipped.

Where the environment variable CI is set, a tool that is missing is a failure and not a skip.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from helpers import SITE, chromium, missing, real_data, served

LEFT_OUT = pytest.StashKey[int]()


# ---------------------------------------------------------------- numbers


@pytest.fixture
def float64():
    """PyTorch's default type is float64 inside the test."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch.float64
    torch.set_default_dtype(before)


@pytest.fixture
def tf32():
    """What a test does to PyTorch's use of TF32 is undone after it."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def generator():
    """A seeded generator on the CPU."""
    import torch

    return torch.Generator().manual_seed(0)


# ---------------------------------------------------------------- data


def pytest_collection_modifyitems(config, items):
    """Tests of one group stay together; tests for a GPU are left out where there is none, and
    counted in the summary."""
    import torch

    if config.getoption(
        "loadgroup", False
    ):  # pytest-xdist 3.8 writes the group where pytest 9.2 no longer reads it
        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group and not item.nodeid.endswith(f"@{group.args[0]}"):
                item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")

    asked = [item for item in items if item.get_closest_marker("gpu")]
    if asked and not torch.cuda.is_available():
        config.stash[LEFT_OUT] = getattr(config, "workeroutput", {})["left_out"] = len(asked)
        items[:] = [item for item in items if item not in asked]
        config.hook.pytest_deselected(items=asked)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A worker of xdist tells how many tests it left out: all collect the same ones."""
    if left_out := getattr(node, "workeroutput", {}).get("left_out", 0):
        node.config.stash[LEFT_OUT] = left_out


def pytest_runtest_setup(item):
    if item.get_closest_marker("real_data") and not real_data():
        pytest.skip("it holds for the real Fashion-MNIST only, and that is not here")


# ---------------------------------------------------------------- small weights, small files


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """A small random network under each bundled name, a random classifier, and its moments."""
    import torch

    from sdelib.book.classifier import GarmentClassifier, features
    from sdelib.denoiser import SIGMA_MAX, SIGMA_MIN
    from sdelib.families import VE
    from sdelib.networks import Denoiser, ScoreUNet
    from sdelib.own import weights
    from sdelib.own.metrics import moments

    folder = tmp_path / "bundled"
    monkeypatch.setattr(weights, "BUNDLED", folder)
    torch.manual_seed(0)
    for sigma in (25, 50):
        network = ScoreUNet(sde := VE.power(sigma), (16, 24))
        torch.nn.init.normal_(network.last.weight, std=0.1)
        ends = sde.ratio(torch.tensor([1e-5, 1.0], dtype=torch.float64)).tolist()
        weights.save(f"unet-sigma{sigma}", network, {"ratios": ends})
    network = Denoiser((32, 32))
    torch.nn.init.normal_(network.last.weight, std=0.1)
    torch.nn.init.normal_(network.label.weight)
    torch.nn.init.normal_(network.up[1].conv2.weight, std=0.1)  # else the embedding reaches nothing
    weights.save("denoiser", network, {"ratios": [SIGMA_MIN, SIGMA_MAX]})
    classifier = GarmentClassifier(8, 12)
    weights.save("classifier", classifier, {})
    x = torch.rand(300, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    m = moments(features(x, weights.load("classifier")))
    weights.write_tensors(
        folder / "moments.safetensors",
        {"mean": m.mean, "covariance": m.covariance, "n": torch.tensor(m.n)},
        {},
    )
    weights.record("moments.safetensors")
    random = np.random.default_rng(0)
    np.savez_compressed(
        folder / "fallback.npz",
        images=random.integers(0, 256, (2100, 28, 28), dtype=np.uint8),
        labels=random.integers(0, 10, 2100, dtype=np.uint8),
    )
    weights.record("fallback.npz")
    return folder


@pytest.fixture
def stand_in(monkeypatch):
    """Where Fashion-MNIST is asked for, its stand-in is given."""
    monkeypatch.setenv("SDELIB_DATA", "fallback")


@pytest.fixture
def samples(tmp_path):
    """A file of sixty random images, as `sample` writes it."""
    path = tmp_path / "samples.npz"
    np.savez(
        path,
        images=np.random.default_rng(1).integers(0, 256, (60, 28, 28), dtype=np.uint8),
        nfe=np.int64(501),
    )
    return path


# ---------------------------------------------------------------- the site


@pytest.fixture(scope="session")
def site():
    """The address of the built site, served on this machine only."""
    if not (SITE / "index.html").is_file():
        missing("the site is not built: run `make book`")
    with served(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window; see `helpers.chromium` for what happens where there is none."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def new_tab(browser):
    """new_tab(theme, **options) opens a page in a context of its own, in the light or the dark
    theme where one is named, and closes it after the test."""
    opened = []

    def new(theme=None, **options):
        context = browser.new_context(**({"color_scheme": theme} if theme else {}), **options)
        opened.append(context)
        if theme:
            context.add_init_script(
                f"try {{ localStorage.mode = localStorage.theme = '{theme}' }} catch (e) {{}}"
            )
        return context.new_page()

    yield new
    for context in opened:
        context.close()


# ---------------------------------------------------------------- what was skipped, and what took
# long


@pytest.fixture
def say(request):
    """say(text) puts a line into the summary at the end."""
    return lambda text: request.node.user_properties.append(("measured", text))


def faults(stats: dict) -> tuple[int, int]:
    """(tried, survived): how many tests with the mark `fault` ran, and how many of them passed."""
    reports = [r for some in stats.values() for r in some if isinstance(r, pytest.TestReport)]
    ran = [
        r
        for r in reports
        if "fault" in r.keywords and not r.skipped and (r.when == "call" or r.failed)
    ]
    tried = {r.nodeid for r in ran}
    return len(tried), len(tried - {r.nodeid for r in ran if r.failed})


def pytest_terminal_summary(terminalreporter, config):
    tried, survived = faults(terminalreporter.stats)
    if tried:
        terminalreporter.write_line(line := f"faults tried {tried}, survived {survived}")
        if path := os.environ.get("SDELIB_FAULTS"):  # `make test` says it again at its end
            Path(path).write_text(line + "\n", encoding="utf-8")
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out} tests need a CUDA device and were left out: there is none here."
        )
    reports = [
        r
        for some in terminalreporter.stats.values()
        for r in some
        if getattr(r, "when", None) == "call"
    ]
    said = [text for r in reports for name, text in r.user_properties if name == "measured"]
    if said:
        terminalreporter.section("measured", sep="-")
        for line in said:
            terminalreporter.write_line(line)
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    lines = []
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        lines.append(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
    terminalreporter.section(
        f"{len(lines)} tests were SKIPPED, so this run shows less than it could", sep="!"
    )
    for line in lines:
        terminalreporter.write_line(line)
    if path := os.environ.get("SDELIB_SKIPPED"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as f:
            f.writelines(f"  {line}\n" for line in lines)
