"""Sphinx: the directive `{book-map}` draws which chapter feeds which, and says what may be skipped.

Its lines are `number | chapters it builds on | what it gives | what may be skipped`, and
`# Part` begins a part. On the page they are a list that anyone can hear and a phone can show; the
lines beside it are an inline SVG. Rows are equally tall, so one stretched drawing fits any width.
A chapter that has no page (yet) is left out. Titles are those of the pages.
"""

from __future__ import annotations

import html
import re

from docutils.parsers.rst import Directive
from reader import control

CHAPTER = re.compile(r"(?:.*/)?(\d+)_[^/]*")


class BookMap(Directive):
    """The place of the map; its lines are kept with the document."""

    has_content = True

    def run(self) -> list:
        env = self.state.document.settings.env
        env.metadata[env.docname]["book-map"] = rows(list(self.content))
        return [control(html="", classes=["book-map"])]


def rows(lines: list[str]) -> list[dict]:
    """The chapters of the map, in order.  ValueError names a line that is none, and a chapter that
    is built on before it comes."""
    part, found = "", []
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("#"):
            part = line.lstrip("# ")
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 4 or not cells[0].isdigit():
            raise ValueError(f"book-map: {line!r} is not `number | from | gives | may be skipped`")
        number, before = int(cells[0]), [int(n) for n in re.findall(r"\d+", cells[1])]
        if unknown := set(before) - {row["number"] for row in found}:
            raise ValueError(f"book-map: {number} builds on {unknown}, which it does not follow")
        found.append(
            {"number": number, "from": before, "gives": cells[2], "skip": cells[3], "part": part}
        )
        part = ""
    return found


def drawing(order: list[int], chapters: list[dict]) -> str:
    """The lines: from the middle of one row to the middle of a later one, further out where they
    are longer."""
    n, paths = len(order), []
    for row in chapters:
        for before in row["from"]:
            a, b = order.index(before) + 0.5, order.index(row["number"]) + 0.5
            x = 100 - min(96, 16 + 11 * (b - a))
            paths.append(
                f'<path data-from="{before}" data-to="{row["number"]}" '
                f'd="M100 {a}C{x:.0f} {a} {x:.0f} {b} 100 {b}"/>'
            )
    return (
        f'<svg class="map-lines" aria-hidden="true" viewBox="0 0 100 {n}" '
        f'preserveAspectRatio="none">{"".join(paths)}</svg>'
    )


def picture(chapters: list[dict], pages: dict[int, tuple[str, str]]) -> str:
    """The map as HTML.  pages: number → (address, title)."""
    chapters = [
        row | {"from": [n for n in row["from"] if n in pages]}
        for row in chapters
        if row["number"] in pages
    ]
    order = [row["number"] for row in chapters]
    items, rules = [], []
    for row in chapters:
        address, title = pages[row["number"]]
        text = {key: html.escape(row[key]) for key in ("part", "gives", "skip")}
        links = ", ".join(f'<a href="{pages[n][0]}">{n}</a>' for n in row["from"])
        builds = f" <span>Builds on {links}.</span>" if links else ""
        part = f'<span class="map-part">{text["part"]}</span>' if text["part"] else ""
        skip = f'<p class="map-skip">May be skipped: {text["skip"]}.</p>' if text["skip"] else ""
        kind = ' class="map-optional"' if row["skip"] == "all of it" else ""
        items.append(
            f'<li data-chapter="{row["number"]}"{kind}>{part}'
            f'<div class="map-text"><p><a class="map-title" href="{address}">{html.escape(title)}'
            f'</a></p><p class="map-gives">{text["gives"]}.{builds}</p></div>{skip}</li>'
        )
        n = row["number"]
        rules.append(
            f'.book-map:has(li[data-chapter="{n}"]:is(:hover,:focus-within)) '
            f':is(path[data-from="{n}"],path[data-to="{n}"])'
        )
    style = f"{','.join(rules)}{{stroke:var(--pst-color-primary);stroke-width:3;opacity:1}}"
    return (
        f"<style>{style}</style>"
        f'<div class="book-map" style="--rows: {len(items)}">{drawing(order, chapters)}'
        f'<ol class="map-list">{"".join(items)}</ol></div>'
    )


def place(app, doctree, docname) -> None:
    for node in doctree.findall(control):
        if "book-map" not in node["classes"]:
            continue
        pages = {
            int(hit[1]): (
                app.builder.get_relative_uri(docname, name),
                app.env.titles[name].astext(),
            )
            for name in app.env.found_docs
            if (hit := CHAPTER.fullmatch(name)) and name in app.env.titles
        }
        node["html"] = picture(app.env.metadata[docname]["book-map"], pages)


def stale(app, env) -> list[str]:
    """Titles may have changed: the map is written again with every change."""
    return [name for name in env.found_docs if "book-map" in env.metadata.get(name, {})]


def setup(app) -> dict:
    app.add_directive("book-map", BookMap)
    app.connect("env-updated", stale)
    app.connect("doctree-resolved", place)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
