"""The built site, page by page in Chromium, as a reader without Python sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import edition
import pytest
import yaml
from helpers import (
    HOWS,
    ROOT,
    SECONDS,
    SITE,
    complaints,
    drive,
    measured_by,
    missing,
    pages_with_widgets,
    widgets,
)

tool = measured_by("site")
GENERATED = {"genindex.html", "search.html", "py-modindex.html", "prf-prf.html"}
PAGES = sorted(str(p.relative_to(SITE)) for p in SITE.rglob("*.html") if "_static" not in p.parts)
if not PAGES:
    PAGES = ["index.html"]  # the fixture `site` says that nothing is built
SOURCES = [page for page in PAGES if page.startswith("_modules/")]
"""One for each module, from its text and one template: the index and the longest are visited."""
LONGEST = sorted(SOURCES, key=lambda page: (SITE / page).stat().st_size)[-1:]
LEFT = {"index.html", *SOURCES} - {"_modules/index.html", *LONGEST}  # index.html sends to the first
VISITED = [page for page in PAGES if page not in LEFT]
GENERATED |= set(SOURCES)
DRIVEN = pages_with_widgets()
WIDE, NARROW = 1280, 390
MEGABYTES, COMPRESSED = 5, 1.5  # of a page and all that it loads; as a static host compresses it

# What a page must not do, seen by the page itself. Each entry is a list of words.
LOOK = r"""() => {
  const width = document.documentElement.clientWidth, right = e => e.getBoundingClientRect().right;
  const wide = document.documentElement.scrollWidth <= width ? [] :
    [...document.querySelectorAll("main *")].filter(e => right(e) > width + 1).slice(0, 5)
      .map(e => `${e.tagName}.${e.className} reaches ${Math.round(right(e))} px`);
  const errors = "mjx-merror, mjx-assistive-mml mtext, mjx-assistive-mml merror";
  const tex = [...document.querySelectorAll(errors)]
    .filter(e => e.tagName.toLowerCase() !== "mtext" || e.textContent.trim().startsWith("\\"))
    .map(e => e.textContent.trim() || e.getAttribute("data-mjx-error"));
  return {
    overflow: document.documentElement.scrollWidth - width, wide, tex,
    formulas: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll("mjx-container").length,
    theme: document.documentElement.dataset.theme,
    broken: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
    unnamed: [...document.querySelectorAll("main img")].filter(i => !i.hasAttribute("alt"))
      .map(i => i.src.slice(0, 80)),
    title: document.title,
  };
}"""


# What changes slowly (colours, the drawer beside the text) is sent to its end: one change inside a
# closed fold would never come there by itself. Then the widgets have drawn for their new width when
# their heights stay as they are for six looks, a tenth of a second.
SETTLE = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const heights = () => [...document.querySelectorAll(".widget-host")]
    .map(e => e.getBoundingClientRect().height).join();
  for (let frames = 0; frames < 3; frames++) await frame();
  for (const a of document.getAnimations()) if (a instanceof CSSTransition) a.finish();
  for (let before = "", same = 0, looks = 0; same < 6 && looks < 600; looks++) {
    await frame();
    const now = heights();
    same = now === before ? same + 1 : 0;
    before = now;
  }
}"""


def to(tab, theme: str) -> None:
    """The other theme, as the page's own button sets it."""
    tab.evaluate(
        "theme => document.documentElement.dataset.theme = document.documentElement.dataset.mode "
        "= theme",
        theme,
    )
    tab.evaluate(SETTLE)


AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """async only => {
  const options = { preload: false, ...(only ? { runOnly: [only] } : {}) }, seen = new Set();
  const tokens = [...document.querySelectorAll("div.highlight pre span[class]")]
    .filter(token => token.checkVisibility())
    .map(token => [token,
      token.className + getComputedStyle(token.closest("pre")).backgroundColor]);
  for (const [token, kind] of tokens)  // of those in sight, one of each kind on each ground
    if (seen.has(kind)) token.replaceWith(...token.childNodes); else seen.add(kind);
  const { violations } = await axe.run({ exclude: ["mjx-math"] }, {
    resultTypes: ["violations"], ...options });
  return violations.filter(v => v.impact === "serious" || v.impact === "critical")
    .map(v => `${v.id} (${v.help}): ` + v.nodes.slice(0, 3).map(n => n.html.slice(0, 120))
      .join(" | "));
}"""


STYLED = """() => document.readyState !== "loading"
  && [...document.querySelectorAll("link[rel=stylesheet]")].every(link => link.sheet)"""
TALL = "hosts => hosts.map(h => h.getBoundingClientRect().height)"
WEIGHT = """() => getComputedStyle(
  document.querySelector(".bd-article h1, .bd-article h2, h1")).fontWeight"""


def whole(seen: dict, width: int) -> None:
    """AssertionError where what LOOK saw is no whole page of this width."""
    assert not seen["tex"], "TeX that MathJax does not know"
    assert seen["formulas"] <= seen["typeset"], "formulas were not set"
    assert not seen["broken"], "pictures that do not load"
    assert not seen["unnamed"], "pictures without an alt text"
    assert seen["overflow"] <= 0, f"the page is wider than {width} px: {seen['wide']}"


@pytest.mark.browser
@pytest.mark.parametrize("page", VISITED)
def test_page(page, site, new_tab, say):
    """One visit over the wire: at both widths and in both themes the page is whole and light, asks
    nobody else for anything, and its widgets stand where a picture has held their place; on a
    phone in the dark they move by keyboard, mouse and touch."""
    tab = new_tab("light", viewport={"width": WIDE, "height": 900}, has_touch=True)
    outside, errors, sizes, asked, held = [], [], [], [], []

    def request(r):
        asked.append(urlsplit(r.url).path)
        if urlsplit(r.url).scheme not in ("blob", "data") and not r.url.startswith(site + "/"):
            outside.append(r.url)

    def response(r):
        sizes.append(int(r.headers.get("content-length", 0)))
        if r.status >= 400:
            errors.append(f"{r.status}: {r.url}")

    tab.on("request", request)
    tab.on("response", response)
    tab.on("requestfailed", lambda r: errors.append(f"request failed: {r.url} {r.failure}"))
    tab.on("console", lambda m: errors.append(f"console: {m.text}") if m.type == "error" else None)
    tab.on("pageerror", lambda e: errors.append(f"page error: {e}"))
    tab.on("websocket", lambda w: outside.append(w.url))

    # What brings the widgets to life waits until the pictures in their places are measured.
    tab.route("**/host.js*", lambda route: held.append(route))
    tab.goto(f"{site}/{page}", wait_until="commit")
    tab.wait_for_function(STYLED, timeout=SECONDS)
    tab.evaluate("() => document.fonts.ready")
    stills = {}
    for width in (NARROW, WIDE):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.evaluate(SETTLE)
        stills[width] = tab.locator(".widget-host").evaluate_all(TALL)
    for route in held:
        route.continue_()
    tab.unroute("**/host.js*")
    tab.wait_for_load_state("load", timeout=SECONDS)
    tab.evaluate(tool.SCROLL)  # pictures are loaded when they come into sight
    found = widgets(tab)
    tab.wait_for_function("!document.querySelector('.sde-still')", timeout=SECONDS)
    tab.wait_for_timeout(300)

    for width, theme in ((WIDE, "light"), (NARROW, "light"), (NARROW, "dark"), (WIDE, "dark")):
        tab.set_viewport_size({"width": width, "height": 900})
        to(tab, theme)
        whole(tab.evaluate(LOOK), width)
        if page in DRIVEN and theme == "light":
            alive = tab.locator(".widget-host").evaluate_all(TALL)
            apart = [abs(a - b) for a, b in zip(stills[width], alive, strict=True)]
            assert max(apart) <= 24, f"at {width} px: {apart}"  # a line of text, no more
        elif page in DRIVEN and width == NARROW:
            assert drive(tab, *HOWS) == len(found) > 0

    assert not outside, "requests outside the site's own address"
    assert not errors
    files = [SITE / unquote(path).lstrip("/") for path in set(asked)]
    compressed = sum(tool.compressed(file) for file in files if file.is_file()) / 1e6
    assert 0 < compressed <= COMPRESSED, f"{compressed:.2f} MB with all that it loads, compressed"
    megabytes = sum(sizes) / 1e6
    assert megabytes <= MEGABYTES, f"{megabytes:.1f} MB with all that it loads"
    if page not in GENERATED:
        say(f"{page}: {megabytes:.2f} MB")


@pytest.mark.browser
@pytest.mark.parametrize("page", VISITED)
def test_a_page_opened_as_a_file_is_whole_and_can_be_read_by_everyone(page, site, new_tab):
    """From file:// too, and begun in the dark: styles, fonts, formulas and widgets are there, the
    widgets move, and nothing complains or asks elsewhere. All rules of axe-core in the dark theme;
    contrast once more in the light one. Of a formula, what is read aloud and not its thousand
    boxes; of code, the first token in sight of each kind."""
    assert AXE.is_file(), "axe-core is missing: `make book` fetches it (package.json)"
    tab = new_tab("dark", viewport={"width": WIDE, "height": 900}, has_touch=True)
    found = complaints(tab)
    tab.goto((SITE / page).as_uri())
    widgets(tab)  # a canvas has no name before it is drawn
    tab.evaluate("() => document.fonts.ready")
    whole(seen := tab.evaluate(LOOK), WIDE)
    assert seen["theme"] == "dark" and seen["title"]
    assert tab.evaluate(WEIGHT) in ("400", "500")  # the theme's own
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    assert tab.evaluate(RUN_AXE, None) == []
    to(tab, "light")
    assert tab.evaluate(RUN_AXE, "color-contrast") == [], "in the light theme"
    if page in DRIVEN:
        assert drive(tab, *HOWS) > 0
    assert found == []


@pytest.mark.browser
@pytest.mark.parametrize("page", DRIVEN or [None])
def test_without_javascript_a_picture_and_its_words_stand_there(page, site, new_tab):
    if page is None:
        missing("no page of the built site has a widget: run `make refresh` and `make book`")
    tab = new_tab(java_script_enabled=False, viewport={"width": NARROW, "height": 800})
    tab.goto(f"{site}/{page}")
    stills = tab.locator(".sde-still").all()
    assert stills
    for still in stills:
        still.scroll_into_view_if_needed()
        picture = still.locator("img")
        tab.wait_for_timeout(200)  # it is loaded when it comes into sight
        loaded = picture.evaluate("i => i.complete && i.naturalWidth")
        assert loaded >= 200 and picture.get_attribute("alt")
        assert "moves where JavaScript runs" in still.inner_text()
        assert not still.locator("button").first.is_visible()


@pytest.mark.browser
def test_axe_would_notice(site, browser):
    """The rules and the theme reach the page: pale text on white is found, and an unnamed
    button."""
    context = browser.new_context()
    try:
        tab = context.new_page()
        tab.set_content(
            '<html lang="en"><title>t</title><main><p '
            'style="color:#ccc;background:#fff">pale</p><button></button></main></html>'
        )
        tab.evaluate(AXE.read_text(encoding="utf-8"))
        found = " ".join(tab.evaluate(RUN_AXE, None))
        assert "color-contrast" in found and "button-name" in found
    finally:
        context.close()


class Links(HTMLParser):
    """The ids and the links of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := attrs.get(key))}
        for key in ("href", "src"):
            if attrs.get(key):
                self.links.append(attrs[key])


def test_every_internal_link_and_anchor_resolves(site):
    read = {page: Links((SITE / page).read_text(encoding="utf-8")) for page in PAGES}
    broken = []
    for page, content in read.items():
        for link in content.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                ((SITE / page).parent / unquote(parts.path)).resolve()
                if parts.path
                else SITE / page
            )
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                broken.append(f"{page}: {link}")
            elif parts.fragment and target.suffix == ".html":
                there = read[str(target.relative_to(SITE))]
                if unquote(parts.fragment) not in there.ids:
                    broken.append(f"{page}: {link} (no such anchor)")
    assert not broken


def test_the_index_opens_the_first_page(site):
    text = (SITE / "index.html").read_text(encoding="utf-8")
    target = re.search(r'url=([^"\']+)', text)
    assert target and (SITE / target[1]).is_file()


def test_the_site_holds_the_pages_of_the_table_of_contents_and_no_others(site):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    expected = {
        toc["root"],
        *(entry["file"] for part in toc["parts"] for entry in part["chapters"]),
    }
    assert {
        page.removesuffix(".html") for page in PAGES if page not in GENERATED | {"index.html"}
    } == expected


def test_launch_and_download_buttons(site):
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    where = config["url"].removeprefix("https://github.com/")
    for path in [*sorted((ROOT / "chapters").glob("*.ipynb")), ROOT / "book" / "intro.ipynb"]:
        name = str(path.relative_to(ROOT))
        html = SITE / Path(name).with_suffix(".html")
        text = html.read_text(encoding="utf-8")
        colab = f"https://colab.research.google.com/github/{where}/blob/{config['branch']}/{name}"
        assert (colab in text) is (edition.PLACEHOLDER not in where)  # see test_reading.py
        assert "fa-rocket" in text
        assert re.search(rf'href="[^"]*_sources/{re.escape(name)}"', text), "the download button"
        others = set(re.findall(r'href="https://github\.com/([\w.-]+/[\w.-]+)', text)) - {where}
        assert "executablebooks/jupyter-book" not in others
