"""The built site, page by page in Chromium, as a reader without Python sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from helpers import ROOT, SITE, complaints, measured_by, widgets

tool = measured_by("site")
GENERATED = {"genindex.html", "search.html", "py-modindex.html", "prf-prf.html"}
PAGES = sorted(str(p.relative_to(SITE)) for p in SITE.rglob("*.html") if "_static" not in p.parts)
if not PAGES:
    PAGES = ["index.html"]  # the fixture `site` says that nothing is built
WIDTHS = {"desktop": 1280, "phone": 390}
MEGABYTES, COMPRESSED = 5, 1.5  # of a page and all that it loads; as a static host compresses it

# What a page must not do, seen by the page itself. Each entry is a list of words.
LOOK = r"""() => {
  const width = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth <= width ? [] :
    [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > width + 1)
      .slice(0, 5).map(e => e.tagName + "." + e.className + " reaches " + Math.round(e.getBoundingClientRect().right) + " px");
  const tex = [...document.querySelectorAll("mjx-merror, mjx-assistive-mml mtext, mjx-assistive-mml merror")]
    .filter(e => e.tagName.toLowerCase() !== "mtext" || e.textContent.trim().startsWith("\\"))
    .map(e => e.textContent.trim() || e.getAttribute("data-mjx-error"));
  return {
    overflow: document.documentElement.scrollWidth - width, wide, tex,
    formulas: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll("mjx-container").length,
    theme: document.documentElement.dataset.theme,
    broken: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
    unnamed: [...document.querySelectorAll("main img")].filter(i => !i.hasAttribute("alt")).map(i => i.src.slice(0, 80)),
    title: document.title,
  };
}"""


# The other theme, as the page's own button sets it. Colours change slowly; nobody may look before
# they have.
TO = """async theme => {
  document.documentElement.dataset.theme = document.documentElement.dataset.mode = theme;
  for (let frames = 0; frames < 3; frames++) await new Promise(requestAnimationFrame);
  await Promise.allSettled(document.getAnimations().filter(a => a instanceof CSSTransition).map(a => a.finished));
}"""


@pytest.fixture(scope="module")
def weights():
    """Bytes sent for each page, filled while the pages are visited."""
    return {}


@pytest.mark.browser
@pytest.mark.parametrize("width, theme", zip(WIDTHS.values(), ("light", "dark")), ids=WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_page(page, width, theme, site, browser, say):
    """Two visits, a wide one that begins in the light theme and a narrow one that begins in the
    dark; then the theme is changed."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    context.add_init_script(
        f"try {{ localStorage.mode = localStorage.theme = '{theme}' }} catch (e) {{}}"
    )
    tab = context.new_page()
    outside, errors, sizes, asked = [], [], [], []
    tab.on("request", lambda r: asked.append(urlsplit(r.url).path))
    tab.on(
        "request",
        lambda r: (
            outside.append(r.url)
            if urlsplit(r.url).scheme not in ("blob", "data") and not r.url.startswith(site + "/")
            else None
        ),
    )
    tab.on(
        "requestfailed",
        lambda r: (
            errors.append(f"request failed: {r.url}")
            if "ERR_ABORTED" not in str(r.failure)
            else None
        ),
    )
    tab.on(
        "response",
        lambda r: (
            sizes.append(int(r.headers.get("content-length", 0))),
            errors.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
        ),
    )
    tab.on(
        "console",
        lambda m: errors.append(f"console {m.type}: {m.text}") if m.type == "error" else None,
    )
    tab.on("pageerror", lambda e: errors.append(f"page error: {e}"))
    tab.on("websocket", lambda w: outside.append(w.url))
    try:
        tab.goto(
            f"{site}/{page}", wait_until="networkidle" if page == "index.html" else "load"
        )  # it only sends to the first page
        tab.evaluate(tool.SCROLL)  # pictures are loaded when they come into sight
        tab.wait_for_timeout(300)
        seen = tab.evaluate(LOOK)
        tab.evaluate(TO, other := "dark" if theme == "light" else "light")
        after = tab.evaluate(LOOK)
    finally:
        context.close()

    assert not outside, "requests outside the site's own address"
    assert not errors
    for look, wanted in ((seen, theme), (after, other)):
        assert not look["tex"], "TeX that MathJax does not know"
        assert look["formulas"] <= look["typeset"], "formulas were not set"
        assert not look["broken"], "pictures that do not load"
        assert not look["unnamed"], "pictures without an alt text"
        assert look["overflow"] <= 0, f"the page is wider than {width} px: {look['wide']}"
        assert page == "index.html" or (look["theme"] == wanted and look["title"])
    compressed = (
        sum(
            tool.compressed(file)
            for path in set(asked)
            if (file := SITE / unquote(path).lstrip("/")).is_file()
        )
        / 1e6
    )
    assert 0 < compressed <= COMPRESSED, (
        f"the page and what it loads weigh {compressed:.2f} MB, compressed"
    )
    megabytes = sum(sizes) / 1e6
    assert megabytes <= MEGABYTES, f"the page and what it loads weigh {megabytes:.1f} MB"
    if width == 1280 and page not in GENERATED:
        say(f"{page}: {megabytes:.2f} MB")


@pytest.mark.browser
@pytest.mark.parametrize("page", [page for page in PAGES if page != "index.html"])
def test_a_page_opened_as_a_file_is_whole(page, site, new_tab):
    """From file:// too: styles, fonts, formulas and widgets are there, and nothing complains or
    asks elsewhere."""
    tab = new_tab(viewport={"width": 1280, "height": 900})
    found = complaints(tab)
    tab.goto((SITE / page).as_uri())
    widgets(tab)
    tab.evaluate("() => document.fonts.ready")
    seen = tab.evaluate(LOOK)
    assert (
        found == []
        and not seen["broken"]
        and seen["formulas"] <= seen["typeset"]
        and seen["overflow"] <= 0
    )
    assert tab.evaluate(
        "() => getComputedStyle(document.querySelector('.bd-article h1, .bd-article h2, h1')).fontWeight"
    ) in ("400", "500")  # the theme's own


AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """async only => {
  const options = only ? { runOnly: [only] } : {}, seen = new Set();
  const tokens = [...document.querySelectorAll("div.highlight pre span[class]")].filter(token => token.checkVisibility())
    .map(token => [token, token.className + getComputedStyle(token.closest("pre")).backgroundColor]);
  for (const [token, kind] of tokens)                          // of those in sight, one of each kind on each ground is enough
    if (seen.has(kind)) token.replaceWith(...token.childNodes); else seen.add(kind);
  const { violations } = await axe.run({ exclude: ["mjx-math"] }, { resultTypes: ["violations"], ...options });
  return violations.filter(v => v.impact === "serious" || v.impact === "critical")
    .map(v => `${v.id} (${v.help}): ` + v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(" | "));
}"""


@pytest.mark.browser
@pytest.mark.parametrize("page", [page for page in PAGES if page != "index.html"])
def test_axe_finds_nothing_serious(page, site, browser):
    """All rules of axe-core in the light theme; contrast once more in the dark one. Of a formula,
    what is read aloud and not its thousand boxes; of code, the first token in sight of each
    kind."""
    assert AXE.is_file(), "axe-core is missing: `make book` fetches it (package.json)"
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.add_init_script("try { localStorage.mode = localStorage.theme = 'light' } catch (e) {}")
    try:
        tab = context.new_page()
        tab.goto(f"{site}/{page}", wait_until="load")
        widgets(tab)  # a canvas has no name before it is drawn
        tab.evaluate(AXE.read_text(encoding="utf-8"))
        assert tab.evaluate(RUN_AXE, None) == []
        tab.evaluate(TO, "dark")
        assert tab.evaluate(RUN_AXE, "color-contrast") == [], "in the dark theme"
    finally:
        context.close()


@pytest.mark.browser
def test_axe_would_notice(site, browser):
    """The rules and the theme reach the page: pale text on white is found, and an unnamed
    button."""
    context = browser.new_context()
    try:
        tab = context.new_page()
        tab.set_content(
            '<html lang="en"><title>t</title><main><p style="color:#ccc;background:#fff">pale</p><button></button></main></html>'
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
        assert (
            f"https://colab.research.google.com/github/{where}/blob/{config['branch']}/{name}"
            in text
        )
        assert re.search(rf'href="[^"]*_sources/{re.escape(name)}"', text), "the download button"
        others = set(re.findall(r'href="https://github\.com/([\w.-]+/[\w.-]+)', text)) - {where}
        assert "executablebooks/jupyter-book" not in others
