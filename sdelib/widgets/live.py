"""The explorer as an anywidget: its traits and its messages."""

from __future__ import annotations

from collections.abc import Callable

import anywidget
import traitlets

from .bundle import module, style
from .frames import Frame, encode
from .still import aspect, with_still
from .table import frame_of


class ExplorerWidget(anywidget.AnyWidget):
    """Made by `sdelib.widgets.Explorer`.

    Traits: spec (controls, caption), frames (base64), error (what compute last raised, else empty).
    The page sends {kind: "compute", id, values}; the answers are {kind: "working", id}, then
    {kind: "frame", id, frame} or {kind: "error", id, message}.
    """

    _esm = module("explorer")
    _css = style("explorer")
    spec = traitlets.Dict().tag(sync=True)
    frames = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        controls,
        table,
        compute: Callable[..., Frame] | None,
        *,
        caption: str,
        alt: str,
        once: bool,
    ):
        index = 0
        for c in controls:
            index = index * len(c.keys) + c.keys.index(c.start)
        self._controls, self._compute, self._start = controls, compute, table.frames[index]
        spec = {
            "view": self._start.view,
            "controls": [c.spec() for c in controls],
            "caption": caption,
            "alt": alt,
            "live": compute is not None,
            "aspect": round(aspect(self._start), 4),
        }
        if once:
            spec["once"] = True
        super().__init__(spec=spec, frames=table.encoded)
        self.on_msg(self._receive)

    def _receive(self, _widget, message, _buffers) -> None:
        if not isinstance(message, dict) or message.get("kind") != "compute":
            return
        id = message.get("id")
        self.send({"kind": "working", "id": id})
        try:
            if self._compute is None:
                raise ValueError("this explorer has stored frames only: it has no compute")
            frame = frame_of(self._compute, self._controls, message.get("values"))
            if frame.view != (view := self._start.view):
                raise ValueError(f"compute returned a frame of the view {frame.view}, not {view}")
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            self.send({"kind": "error", "id": id, "message": self.error})
            raise  # ipywidgets prints the traceback
        self.error = ""
        self.send({"kind": "frame", "id": id, "frame": encode([frame])})

    def _repr_mimebundle_(self, **kwargs):
        return with_still(super()._repr_mimebundle_(**kwargs), self._start, self.spec)
