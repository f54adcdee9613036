"""Sphinx: the directive `{third-party}` lists what the site carries that others made, with its
licences, as it is when the book is built.

A package of Python is found by its metadata, a package of npm by package-lock.json; what a package
carries in turn tells its licence in a comment that begins with `/*!`. `owner` says which package a
file of _static comes from; tests/house/test_supply_chain.py asks it for each.
"""

from __future__ import annotations

import functools
import html
import json
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

from sdelib.widgets.bundle import DRAWN_BY

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "book" / "_static"
VENDOR = STATIC / "vendor"
PYTHON = (
    "Sphinx",
    "Pygments",
    "pydata-sphinx-theme",
    "sphinx-book-theme",
    "myst-nb",
    "sphinx-copybutton",
    "sphinx-design",
    "sphinx-exercise",
    "sphinx-proof",
    "sphinx-togglebutton",
)
NPM = {
    "mathjax": "vendor/mathjax",
    "onnxruntime-web": "vendor/onnxruntime",
    "tippy.js": "vendor/tippy",
    "@popperjs/core": "vendor/popper",
}
MADE = {"pygments.css": "Pygments", "formulas.css": "mathjax", "denoiser-small.onnx": "the book"}
MADE |= {f"{name}.js": "the book" for name in set(DRAWN_BY.values())} | {"garments.png": "the book"}
"""Files that come into being when the book is built."""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str  # as its metadata say it
    texts: tuple[str, ...]  # its licence files
    files: frozenset[str] = frozenset()  # names of the files that it may put into _static
    brings: tuple[str, ...] = field(
        default=(), kw_only=True
    )  # what it carries from others, in their words


def banners(texts: list[str]) -> tuple[str, ...]:
    """The comments that name a licence and ask to be kept, each once, without their stars."""
    found = (
        re.sub(r"\s+", " ", re.sub(r"^\s*\*+", "", hit, flags=re.M)).strip(" *")
        for text in texts
        for hit in re.findall(r"/\*!(.*?)\*/", text, re.S)
    )
    return tuple(
        dict.fromkeys(
            b for b in found if re.search(r"licen[sc]e", b, re.I) and "please see" not in b
        )
    )


def plain(name: str) -> str:
    """A file's name in its package: without the hash that Sphinx puts into it, and without the
    ending of a template."""
    return re.sub(r"\.[0-9a-f]{32,}(?=\.)|(?:_t|\.jinja)$", "", name)


def python(name: str) -> Package:
    found = metadata.distribution(name)
    about = found.metadata
    kinds = [
        c.rpartition(" :: ")[2]
        for c in about.get_all("Classifier", [])
        if c.startswith("License ::")
    ]
    licence = (
        about.get("License-Expression")
        or ", ".join(kinds)
        or (about.get("License") or "").strip().split("\n")[0]
    )
    texts = [
        f for f in found.files if re.search(r"dist-info/.*(?:LICEN[CS]E|COPYING)[^/]*$", str(f))
    ]
    static = [f for f in found.files if {"static", "_static", "assets"} & set(f.parts)]
    scripts = [f.read_text(encoding="utf-8") for f in static if f.suffix in (".js", ".css")]
    return Package(
        found.name,
        found.version,
        licence,
        tuple(f.read_text(encoding="utf-8") for f in texts),
        frozenset(plain(f.name) for f in static),
        brings=banners(scripts),
    )


def npm(name: str, folder: str) -> Package:
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    own = locked[f"node_modules/{name}"]
    parts = [
        "{} {version}, {license}".format(part, **locked[f"node_modules/{part}"])
        for part in own.get("dependencies", {})
    ]
    files = [f for f in (STATIC / folder).rglob("*") if f.is_file()]
    texts = [f.read_text(encoding="utf-8") for f in files if f.name.startswith("LICENSE")]
    scripts = [f.read_text(encoding="utf-8") for f in files if f.suffix in (".js", ".mjs")]
    return Package(
        name, own["version"], own["license"], tuple(texts), brings=(*banners(scripts), *parts)
    )


@functools.cache
def packages() -> dict[str, Package]:
    """Name → what is known of each package from which the site carries files."""
    found = [*map(python, PYTHON), *(npm(name, folder) for name, folder in NPM.items())]
    return {package.name: package for package in found}


def owner(path: str) -> str | None:
    """Whose a file is, by its path below _static: a package, "the book", or None when nobody
    knows."""
    if path.startswith("tips/") or ((STATIC / path).is_file() and not path.startswith("vendor/")):
        return "the book"
    for name, folder in NPM.items():
        if path.startswith(f"{folder}/"):
            return name
    name = plain(path.rpartition("/")[2])
    return MADE.get(name) or next(
        (package.name for package in packages().values() if name in package.files), None
    )


class ThirdParty(Directive):
    """A list of the packages, and their licences to unfold."""

    def run(self) -> list:
        made = []
        for package in packages().values():
            name, licence = f"{package.name} {package.version}", html.escape(package.licence)
            title = f"<strong>{html.escape(name)}</strong>: {licence}"
            made.append(nodes.raw("", f"<details><summary>{title}</summary>", format="html"))
            if package.brings:
                carried = (
                    nodes.list_item("", nodes.paragraph("", words)) for words in package.brings
                )
                made += [
                    nodes.paragraph("", "It carries:"),
                    nodes.bullet_list("", *carried),
                    nodes.paragraph("", "Its own licence:"),
                ]
            made += [
                nodes.paragraph("", re.sub(r"\s+", " ", part).strip())
                for text in package.texts
                for part in re.split(r"\n\s*\n", text)
                if part.strip()
            ]
            made.append(nodes.raw("", "</details>", format="html"))
        return made


def setup(app) -> dict:
    app.add_directive("third-party", ThirdParty)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
