"""Sphinx: the first place on a chapter's page where a term of the glossary stands in running text
leads to it. Nobody has to mark terms in the chapters, and none is marked twice on a page.
"""

from __future__ import annotations

import re

from docutils import nodes

CHAPTERS = "chapters/"
NOT_IN = (nodes.reference, nodes.title, nodes.literal, nodes.caption, nodes.figure, nodes.table)


def known(env) -> dict[str, tuple[str, str]]:
    """The glossary's terms, lower case → (page, anchor)."""
    return env.domaindata["std"].get("terms", {})


def pattern(terms) -> re.Pattern | None:
    """Any of the terms as whole words, the longest first, singular or plural."""
    if not terms:
        return None
    words = "|".join(re.escape(t) for t in sorted(terms, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({words})(e?s)?(?![\w-])", re.I)


def above(node) -> bool:
    """Whether this stands before the first heading below the title: there a chapter says what it
    is about."""
    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    return node is not None and not isinstance(node.parent, nodes.section)


def running(doctree):
    """The words of paragraphs that are neither links, titles, code nor captions."""
    for paragraph in doctree.findall(nodes.paragraph):
        if above(paragraph):
            continue
        for text in list(paragraph.findall(nodes.Text)):
            parent = text.parent
            while parent is not None and not isinstance(parent, NOT_IN):
                parent = parent.parent
            if parent is None and "exercise" not in str(paragraph.parent.get("classes", "")):
                yield text


def place(app, doctree, docname) -> None:
    terms = known(app.env)
    find = pattern(terms)
    if find is None or not docname.startswith(CHAPTERS) or app.builder.format != "html":
        return
    done = set()
    for text in running(doctree):
        new, end, words = [], 0, text.astext()
        for hit in find.finditer(words):
            page, anchor = terms[hit[1].lower()]
            if anchor in done:
                continue
            done.add(anchor)
            address = app.builder.get_relative_uri(docname, page) + f"#{anchor}"
            link = nodes.reference("", hit[0], internal=True, refuri=address, classes=["term"])
            new += [nodes.Text(words[end : hit.start()]), link]
            end = hit.end()
        if new:
            text.parent.replace(text, [*new, nodes.Text(words[end:])])


def setup(app) -> dict:
    app.connect("doctree-resolved", place, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
