"""Sphinx: the reader's progress, and answers that the page can check.

Each exercise gets a closed hint and a tick box, and where its answer is one number a place to type
it; each page with exercises ends with a box "I have read this chapter"; the directive `{progress}`
lists all of them. They are part of the page, so nothing jumps when book/_static/reader.js wakes
them. Hints are those of sdelib.book.exercises; so are numbers, tolerances and praise, as JSON at
the end of the page, which book/_static/answer.js compares with what is typed.
"""

from __future__ import annotations

import html
import json
import re

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx_exercise.nodes import exercise_subtitle, is_exercise_node

LABEL = re.compile(r"ex-(\d+)-(\d+)")


class control(nodes.Element):
    """HTML that no other format and no search index sees."""


def write(self, node) -> None:
    self.body.append(node["html"])
    raise nodes.SkipNode


def skip(self, node) -> None:
    raise nodes.SkipNode


class Progress(Directive):
    """The place of the list of all chapters and exercises."""

    def run(self) -> list:
        return [control(html="", classes=["progress"])]


def name_of(node) -> str:
    """The exercise's name in sdelib.book.exercises: ex-1-2 is "1.2"."""
    label = LABEL.fullmatch(node["label"])
    if not label:
        raise ValueError(f"the label of an exercise is {node['label']!r}, not ex-CHAPTER-NUMBER")
    return ".".join(label.groups())


def collect(app, doctree) -> None:
    """Note the exercises of a page: their names, titles and anchors."""
    found = {}
    for node in doctree.findall(is_exercise_node):
        name = name_of(node)
        title = next(iter(node.findall(exercise_subtitle))).astext()
        found[name] = {"title": title.removeprefix(name).strip(), "anchor": node["label"]}
    if found:
        pages(app.env)[app.env.docname] = found
    if any("progress" in node["classes"] for node in doctree.findall(control)):
        app.env.metadata[app.env.docname]["reader-list"] = True


def pages(env) -> dict[str, dict]:
    if not hasattr(env, "reader_pages"):
        env.reader_pages = {}
    return env.reader_pages


def purge(app, env, docname) -> None:
    pages(env).pop(docname, None)


def merge(app, env, docnames, other) -> None:
    pages(env).update({name: found for name, found in pages(other).items() if name in docnames})


def stale(app, env) -> list[str]:
    """The list of all exercises is written again with every change."""
    return [name for name in env.found_docs if "reader-list" in env.metadata.get(name, {})]


def test_of(name: str) -> dict | None:
    """What the page needs to check an answer: only for an answer that is one number."""
    from sdelib.book.exercises import EXERCISES, Number

    exercise = EXERCISES[name]
    if not isinstance(exercise.test, Number):
        return None
    t = exercise.test
    return {
        "value": t.value,
        "relative": t.relative,
        "absolute": t.absolute,
        "digits": t.digits,
        "asks": t.asks,
        "praise": exercise.praise,
    }


def hint_box(name: str) -> str:
    """The hint, behind a click; `code` between backticks is set as code."""
    from sdelib.book.exercises import EXERCISES

    hint = html.escape(EXERCISES[name].hint)
    if re.match(r"(a|[a-z]{2,}) ", hint):  # a word, and not a symbol
        hint = hint[0].upper() + hint[1:]
    hint = re.sub(r"`([^`]*)`", r"<code>\1</code>", hint)
    return (
        f'<details class="reader-hint"><summary>Hint<span class="visually-hidden"> for exercise '
        f"{name}</span></summary><p>{hint}</p></details>"
    )


def exercise_box(name: str, title: str) -> str:
    label = html.escape(f"{name} {title}")
    done = (
        f'<label class="reader-done"><input type="checkbox" data-exercise="{name}" '
        f'aria-label="Exercise {label} is done" disabled>'
        " <span>Done</span></label>"
    )
    if (test := test_of(name)) is None:
        how = '<span class="reader-how">Run the chapter to check your answer.</span>'
        return f'<div class="reader-exercise pst-js-only">{how}{done}</div>{hint_box(name)}'
    return (
        f'<form class="reader-exercise pst-js-only" data-answer="{name}"><label '
        f'for="answer-{name}">{" ".join(["Your answer", test["asks"]]).strip()}</label>'
        f'<input type="text" id="answer-{name}" size="14" maxlength="60" autocomplete="off" '
        f'autocapitalize="off" spellcheck="false"'
        f' enterkeyhint="go" aria-describedby="verdict-{name}" disabled><button type="submit" '
        f"disabled>Check</button>{done}"
        f'<p class="reader-verdict" id="verdict-{name}" role="status"></p></form>{hint_box(name)}'
    )


def chapter_box(docname: str, up: str) -> str:
    return (
        f'<div class="reader-chapter pst-js-only"><label><input type="checkbox" '
        f'data-chapter="{docname}" disabled>'
        f' <span>I have read this chapter</span></label><a href="{up}book/progress.html">Your '
        f"progress</a></div>"
    )


def progress_list(env, link) -> str:
    """All pages with exercises in the order of the table of contents."""
    found = pages(env)
    order = [name for name in env.toctree_includes.get(env.config.root_doc, []) if name in found]
    assert set(order) == set(found), "a page with exercises is not in the table of contents"
    total = sum(map(len, found.values()))
    rows = []
    for docname in order:
        title = html.escape(env.titles[docname].astext())
        boxes = "".join(
            f'<li><input type="checkbox" class="pst-js-only" data-exercise="{name}" '
            f'aria-label="Exercise {name} {html.escape(e["title"])} is done" disabled> '
            f'<a href="{link(docname)}#{e["anchor"]}">{name} {html.escape(e["title"])}</a></li>'
            for name, e in found[docname].items()
        )
        rows.append(
            f'<li><div class="reader-row"><input type="checkbox" class="pst-js-only" '
            f'data-chapter="{docname}" aria-label="Chapter {title} is read" disabled> '
            f'<a href="{link(docname)}">{title}</a><span class="reader-count" '
            f'data-of="{docname}">0 of {len(found[docname])} done</span></div>'
            f"<ul>{boxes}</ul></li>"
        )
    return (
        f'<div class="reader-progress" data-book="{html.escape(env.config.html_title)}">'
        f'<p class="reader-total" role="status">0 of {len(order)} '
        f"chapters read, 0 of {total} exercises done.</p>"
        f'<div class="reader-bar" aria-hidden="true"><div></div></div><ul class="reader-list">'
        f"{''.join(rows)}</ul>"
        '<div class="reader-keep pst-js-only">'
        '<button type="button" class="reader-save" disabled>Save to a file</button>'
        '<button type="button" class="reader-load" disabled>Load from a file</button>'
        '<input type="file" class="reader-file" accept=".json,application/json" hidden>'
        '<button type="button" class="reader-forget" disabled>Forget all of it</button>'
        '<p class="reader-told" role="status"></p></div></div>'
    )


def place(app, doctree, docname) -> None:
    """Put the boxes into a page that is about to be written."""
    up = "../" * docname.count("/")
    found = pages(app.env).get(docname, {})
    for node in doctree.findall(is_exercise_node):
        name = name_of(node)
        node.append(control(html=exercise_box(name, found[name]["title"])))
    for node in doctree.findall(control):
        if "progress" in node["classes"]:
            node["html"] = progress_list(
                app.env, lambda to: app.builder.get_relative_uri(docname, to)
            )
    top = next(iter(doctree.findall(nodes.section)), None)
    if top is None:
        return
    tests = {name: test for name in found if (test := test_of(name))}
    data = json.dumps({"page": docname, "tests": tests}, ensure_ascii=False).replace("</", "<\\/")
    top.append(
        control(
            html=(chapter_box(docname, up) if found else "")
            + f'<script type="application/json" id="reader-data">{data}</script>'
        )
    )


def scripts(app, pagename, templatename, context, doctree) -> None:
    """What reads answers, for pages that have some; before reader.js, which asks it."""
    if pagename in pages(app.env):
        app.add_js_file("answer.js", loading_method="defer", priority=400)


def setup(app) -> dict:
    app.add_node(
        control,
        html=(write, None),
        latex=(skip, None),
        text=(skip, None),
        man=(skip, None),
        texinfo=(skip, None),
    )
    app.add_directive("progress", Progress)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("env-updated", stale)
    app.connect("doctree-resolved", place)
    app.connect("html-page-context", scripts)
    app.add_js_file("reader.js", loading_method="defer")
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
