"""The figures of the chapters, one module a chapter: what is drawn, apart from what is computed.

    from sdelib.book.figures import ch02 as figures

A function takes what the chapter computed, and is named by what its picture shows. Style, colours
and the small marks that all share are in `sdelib.book.plotting`.
"""
