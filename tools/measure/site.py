"""Measure the built site: python tools/measure/site.py [PAGE …]
(after `make book`; SDELIB_SITE names another folder)

Serves the site on 127.0.0.1, opens each page in Chromium with an empty cache, scrolls to its end so
that everything is loaded, and writes results/site.csv: what the page weighs, when it is first
painted, how far its parts jump, and how it reads: how much of it is code, where its first picture
ends and its first widget begins, and what is cut at the edge.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import os
import statistics
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import table

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("SDELIB_SITE", ROOT / "_build" / "html"))
OUT = table.RESULTS / "site.csv"
WIDTHS = (1280, 390)
FIELDS = [
    "page",
    "requests",
    "bytes",
    "compressed_bytes",
    "code_share",
    "first_picture_ends_px",
    "first_widget_at",
    *(f"cut_{width}" for width in WIDTHS),
    *(
        f"{name}_{width}"
        for width in WIDTHS
        for name in (
            "first_paint_ms",
            "least_first_paint_ms",
            "layout_shift",
            "layout_shift_without_widgets",
        )
    ),
]

FORM = """() => {
  const article = document.querySelector("article.bd-article") ?? document.body;
  const box = e => e.getBoundingClientRect();
  const top = e => box(e).top + scrollY, all = q => [...article.querySelectorAll(q)].filter(e =>
    e.checkVisibility() && box(e).height > 1 && !e.closest(".toggle-hidden"));
  const cut = e => e.scrollWidth > e.clientWidth + 1;
  const words = e => e.textContent.trim().replace(/\\s+/g, " ").slice(0, 60);
  const code = all("div.cell_input"), edge = box(article).right + 1;
  const pictures = all("img, .widget-host"), hosts = all(".widget-host");
  const host = e => e.closest(".widget-host") ?? e;
  const share = e => (top(e) - top(article)) / box(article).height;
  return {
    code: code.reduce((sum, e) => sum + box(e).height, 0) / box(article).height,
    lines: code.reduce((n, e) => n + e.innerText.trim().split("\\n").length, 0),
    picture: pictures.length ? box(host(pictures[0])).bottom + scrollY : null,
    question: all("h1 ~ p").length ? top(all("h1 ~ p")[0]) : null,
    widget: hosts.length ? share(hosts[0]) : null,
    cut: [...all("div.highlight pre").filter(e => cut(e) && innerWidth > 600).map(words),
      ...all("div.math, mjx-container[display]").filter(cut).map(words),
      ...all("figure img, .panels").filter(e => !e.closest(".panel") && box(e).right > edge)
        .map(e => e.alt ?? "a picture of panels")],
    alts: all("figure img").filter(i => i.alt).map(i => i.alt),
    captions: all("figure figcaption").map(words), figures: all("figure").length,
    bare: all(".cell_output img").filter(i => !i.closest("figure, .widget-host")).length,
    next: document.querySelector("a.right-next")?.getAttribute("href") ?? null,
  };
}"""
"""How a page reads in this window: the share of its height that is visible code (outside of folds
and closed solutions), the lines of it; where its first paragraph begins and its first picture or
widget ends, in pixels from the top; where its first widget begins, as a share of its height; what
is wider than its place (code on a phone may be pushed, its edge says so); its figures' words."""

TEXT = {".html", ".css", ".js", ".json", ".svg", ".txt", ".ico", ".ttf", ".wasm"}
"""What a static host compresses; pictures and WOFF fonts are compressed in themselves and sent as
they are."""

WATCH = """() => {
  window.shifted = 0;
  new PerformanceObserver(list => list.getEntries().forEach(e => {
    if (!e.hadRecentInput) window.shifted += e.value; }))
    .observe({ type: "layout-shift", buffered: true });
}"""
FIRST_PAINT = """() => new Promise(done => {
  const seen = () => performance.getEntriesByName("first-contentful-paint")[0];
  if (seen()) return done(seen().startTime);
  new PerformanceObserver(() => { if (seen()) done(seen().startTime); }).observe({
    type: "paint", buffered: true });
})"""
SCROLL = """async () => {
  const root = document.scrollingElement;
  for (let y = 0; y < root.scrollHeight; y += innerHeight) {
    scrollTo({ top: y, behavior: "instant" });
    await new Promise(done => setTimeout(done, 25));
  }
}"""
SETTLED = """() => [...document.querySelectorAll(
    'script[type="application/vnd.jupyter.widget-view+json"]')].length
  <= document.querySelectorAll(".sde-x:is([data-ready], [data-error]), .widget-notice").length"""


@functools.cache
def compressed(file: Path) -> int:
    """Bytes on the wire: gzip -9 of text, other files as they are."""
    data = file.read_bytes()
    return len(gzip.compress(data, 9)) if file.suffix in TEXT else len(data)


def weight(tab, address: str, site: Path = SITE) -> tuple[int, int, int]:
    """(requests, bytes, compressed bytes) of a page and all that it loads until its end was
    seen."""
    asked: list[str] = []
    note = lambda request: asked.append(request.url) if request.url.startswith("http") else None
    tab.on("request", note)
    tab.goto(address, wait_until="load")
    tab.evaluate(SCROLL)
    tab.wait_for_load_state("networkidle")
    tab.remove_listener("request", note)
    files = [site / unquote(urlsplit(url).path).lstrip("/") for url in dict.fromkeys(asked)]
    files = [file for file in files if file.is_file()]
    return len(asked), sum(file.stat().st_size for file in files), sum(map(compressed, files))


def paint(tab, address: str) -> float:
    """Milliseconds from the start of the navigation to the first text or picture."""
    tab.goto(address, wait_until="load")
    return tab.evaluate(FIRST_PAINT)


def shift(tab, address: str, widgets: bool = True) -> float:
    """The sum of all layout shifts, while the page loads and while it is scrolled to its end."""
    if not widgets:
        tab.route(
            "**/host.js*", lambda route: route.fulfill(body="", content_type="text/javascript")
        )
    tab.add_init_script(f"({WATCH})()")
    tab.goto(address, wait_until="load")
    if widgets:
        with contextlib.suppress(Exception):  # a widget that waits for a click is not drawn
            tab.wait_for_function(SETTLED, timeout=5_000)
    tab.wait_for_timeout(300)
    tab.evaluate(SCROLL)
    tab.wait_for_timeout(200)
    return tab.evaluate("() => window.shifted")


def form(tab, address: str) -> dict:
    """What `FORM` says of a page whose pictures are all loaded and whose widgets are drawn."""
    tab.goto(address, wait_until="load")
    tab.evaluate(SCROLL)
    with contextlib.suppress(Exception):  # a widget that waits for a click is not drawn
        tab.wait_for_function(SETTLED, timeout=5_000)
    tab.evaluate("() => document.fonts.ready.then(() => scrollTo(0, 0))")
    tab.wait_for_timeout(200)
    return tab.evaluate(FORM)


def pages(site: Path = SITE) -> list[str]:
    """The pages that a reader reads: index.html only sends to the first of them, and _modules holds
    the lines of the library, a page a module of one template."""
    return sorted(
        str(p.relative_to(site))
        for p in site.rglob("*.html")
        if not {"_static", "_modules"} & set(p.parts) and p != site / "index.html"
    )


@contextlib.contextmanager
def fresh(browser, width: int):
    """A tab with an empty cache."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    try:
        yield context.new_page()
    finally:
        context.close()


def measure(browser, base: str, page: str, loads: int, site: Path = SITE) -> dict:
    address, row = f"{base}/{page}", {"page": page}
    with fresh(browser, 1280) as tab:
        row["requests"], row["bytes"], row["compressed_bytes"] = weight(tab, address, site)
    for width in WIDTHS:
        with fresh(browser, width) as tab:
            seen = form(tab, address)
        row[f"cut_{width}"] = len(seen["cut"])
        if width == WIDTHS[0]:
            row["code_share"] = round(seen["code"], 4)
            row["first_picture_ends_px"] = seen["picture"] and round(seen["picture"])
            row["first_widget_at"] = seen["widget"] and round(seen["widget"], 3)
        times = []
        for _ in range(loads):
            with fresh(browser, width) as tab:
                times.append(paint(tab, address))
        row[f"first_paint_ms_{width}"], row[f"least_first_paint_ms_{width}"] = (
            round(statistics.median(times)),
            round(min(times)),
        )
        for name, widgets in (("layout_shift", True), ("layout_shift_without_widgets", False)):
            with fresh(browser, width) as tab:
                row[f"{name}_{width}"] = round(shift(tab, address, widgets), 4)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "pages", nargs="*", help="measure these pages again and keep the rows of the others"
    )
    parser.add_argument(
        "--loads", type=int, default=3, help="loads per width, of which the median is the time"
    )
    args = parser.parse_args()
    if not (SITE / "index.html").is_file():
        print("The site is not built: run `make book`.", file=sys.stderr)
        return 1
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools" / "book")]
    import helpers

    rows = {row["page"]: row for row in table.read(OUT)} if args.pages else {}
    with helpers.served(SITE) as base, helpers.chromium() as browser:
        version = browser.version
        for page in args.pages or pages():
            rows[page] = measure(browser, base, page, args.loads)
            print(rows[page], flush=True)
    text = " ".join(sorted(TEXT))
    head = [
        "command: python tools/measure/site.py",
        (
            "requests, bytes, compressed_bytes: a page with an empty cache and all that "
            "it loads until it was"
        ),
        f"        scrolled to its end, at {WIDTHS[0]} px.  compressed: gzip -9 of text ({text}),",
        "        as a static host would send it; pictures and WOFF fonts as they are.",
        (
            f"first_paint_ms: first contentful paint, median of {args.loads} loads with "
            "an empty cache from an"
        ),
        "        uncompressed server on 127.0.0.1; least: the fastest.",
        "code_share: visible code, of the page's height; first_picture_ends_px: from its top;",
        "        first_widget_at: of its height; all at 1280 px.  cut: code cells (1280 only),",
        "        formulas and figures that are wider than their place.",
        (
            "layout_shift: the sum of all layout shifts while the page loads and is "
            "scrolled to its end, which"
        ),
        (
            "        is at least Chromium's CLS; without_widgets: the same with the "
            "widgets' host left out."
        ),
        f"{', '.join(map(str, WIDTHS))}: width of the window in CSS pixels, 900 high.",
        "A page whose times were disturbed by another job was measured again.",
        (
            f"device: {table.machine(' shared with other jobs')}, no GPU; Chromium "
            f"{version} without a window"
        ),
        f"date: {table.today()}",
    ]
    table.write(OUT, head, FIELDS, [rows[page] for page in sorted(rows)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
