"""Chromium for the tests, and a reader who moves every control of every widget on a page."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SECONDS = 60_000  # patience in ms: the machine may be busy with a training run

HASH = """canvas => {
  const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let h = 2166136261;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i], 16777619);
  return `${canvas.width}x${canvas.height}:${h >>> 0}`;
}"""
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"


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


def complaints(page) -> list[str]:
    """A list that fills with console errors, uncaught errors, failed requests and requests to other
    addresses."""
    found: list[str] = []

    def asked(request):
        if not request.url.startswith(
            ("http://127.0.0.1", "http://localhost", "ws://127.0.0.1", "file:", "blob:", "data:")
        ):
            found.append(f"request outside: {request.url}")

    page.on("console", lambda m: found.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: found.append(f"uncaught: {e}"))
    page.on("requestfailed", lambda r: found.append(f"failed request: {r.url} {r.failure}"))
    page.on("request", asked)
    return found


def widgets(page) -> list:
    """The explorers of a page, once all of them are drawn.
    AssertionError with the text of one that reports an error."""
    wanted = page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    page.wait_for_function(
        "n => document.querySelectorAll('.sde-x:is([data-ready], [data-error]), .widget-notice').length >= n",
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


def drive(page, how: str = "mouse") -> int:
    """Move every slider, press every switch, mark every part, and reset; every slider and every
    part must change the picture.

    Returns how many widgets the page has.  AssertionError names the widget and the control.
    """
    found = widgets(page)
    for k, widget in enumerate(found):
        name = f"widget {k} of {page.url}"
        widget.scroll_into_view_if_needed()
        widget.get_by_role("button", name="Reset").click()
        first = look(widget)
        for slider in widget.locator('input[type="range"]').all():
            if not slider.is_visible():
                continue
            seen = set()
            for fraction in (0.0, 1.0, 0.37):
                move(page, slider, fraction, how)
                seen.add(look(widget))
                assert not fault(widget), f"{name}: {fault(widget)}"
            assert len(seen) > 1, (
                f"{name}: moving {slider.get_attribute('data-name') or 'time'} by {how} changes nothing"
            )
        for option in widget.locator('[role="radio"]').all():
            option.tap() if how == "touch" else option.press(
                "Enter"
            ) if how == "keyboard" else option.click()
            look(widget)
            assert option.get_attribute("aria-checked") == "true" and not fault(widget), (
                f"{name}: {option.inner_text()}"
            )
        for part in widget.locator('[role="checkbox"]').all():
            before, was = look(widget), part.get_attribute("aria-checked")
            brush = (
                part.locator("xpath=..").get_attribute("data-brush") is not None
            )  # a live kernel: the mouse paints cells
            part.tap() if how == "touch" else part.press(
                " "
            ) if how == "keyboard" or brush else part.click()
            after = look(widget)
            assert part.get_attribute("aria-checked") != was and not fault(widget), (
                f"{name}: {part.get_attribute('aria-label')}"
            )
            assert after != before, (
                f"{name}: hiding or showing {part.get_attribute('aria-label')} by {how} changes nothing"
            )
        widget.get_by_role("button", name="Reset").click()
        assert look(widget) == first, f"{name}: reset does not bring the first picture back"
    return len(found)
