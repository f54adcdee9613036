"""A still picture of a frame: for GitHub, for a PDF, and for a page before the widget lives."""

from __future__ import annotations

import base64
import io

import numpy as np

from .frames import LEVELS, ORIGIN, Frame


def with_still(bundle, frame: Frame, spec: dict):
    """A widget's output with a picture, for where no kernel runs, and with words; a live Jupyter
    prefers the widget."""
    if bundle is not None:
        bundle[0]["image/png"] = base64.b64encode(picture(frame)).decode("ascii")
        bundle[0]["text/plain"] = spec["alt"] or spec["caption"] or "an interactive picture"
    return bundle


def aspect(frame: Frame) -> float:
    """Width over height of the drawing."""
    if frame.view == "images":
        n, H, W = frame.arrays["pixels"].shape
        columns = frame.meta["columns"]
        return columns * W / (-(-n // columns) * H)
    x0, x1, y0, y1 = frame.meta["extent"]
    return 1.7 if frame.meta.get("timelike") else min(max((x1 - x0) / (y1 - y0), 0.6), 2.4)


def picture(frame: Frame, width: int = 480) -> bytes:
    """A still PNG of a frame, without axes."""
    from PIL import Image, ImageDraw

    if frame.view == "images":
        pixels, columns = frame.arrays["pixels"], frame.meta["columns"]
        n, H, W = pixels.shape
        sheet = np.full((-(-n // columns) * (H + 2), columns * (W + 2)), 255, np.uint8)
        for i, p in enumerate(pixels):
            r, c = divmod(i, columns)
            sheet[
                r * (H + 2) + 1 : (r + 1) * (H + 2) - 1, c * (W + 2) + 1 : (c + 1) * (W + 2) - 1
            ] = 255 - p
        scale = max(1, width // sheet.shape[1])
        image = Image.fromarray(sheet).resize(
            (sheet.shape[1] * scale, sheet.shape[0] * scale), Image.Resampling.NEAREST
        )
    else:
        size = np.array(
            [2 * width, round(2 * width / aspect(frame))]
        )  # drawn at twice the size, then smoothed
        image = Image.new("RGB", (int(size[0]), int(size[1])), "white")
        if "density" in frame.arrays:
            high = frame.meta["range"][1]
            d = frame.values("density")[::-1, :, None] / high
            peak, trough = np.array([0, 114, 178]), np.array([213, 94, 0])
            rgb = 255 + np.where(d > 0, d * (peak - 255), -d * (trough - 255))
            image = Image.fromarray(rgb.astype(np.uint8)).resize(
                image.size, Image.Resampling.BICUBIC
            )
        draw = ImageDraw.Draw(image)

        def pixel(q):
            return ((q.astype(np.float64) - ORIGIN) / LEVELS * [1, -1] + [0, 1]) * size

        if "arrows" in frame.arrays:
            u = frame.arrays["arrows"] / 127 * [1, -1]
            h, w = u.shape[:2]
            cell = size / [max(w - 1, 1), max(h - 1, 1)]
            centre = np.stack(np.meshgrid(np.arange(w), h - 1 - np.arange(h)), -1) * cell
            for c, v in zip(
                centre[1:-1, 1:-1].reshape(-1, 2), u[1:-1, 1:-1].reshape(-1, 2) * cell.min() * 0.46
            ):
                tip, side = c + v, np.array([-v[1], v[0]])
                draw.line([*map(tuple, (c - v, tip))], fill="#1d2b36", width=3)
                draw.line(
                    [*map(tuple, (tip - 0.6 * v + 0.4 * side, tip, tip - 0.6 * v - 0.4 * side))],
                    fill="#1d2b36",
                    width=3,
                )
        if "paths" in frame.arrays:
            paths = pixel(frame.arrays["paths"])
            for path in paths.swapaxes(0, 1)[:300]:
                draw.line(
                    [*map(tuple, path if frame.meta["timelike"] else path[-len(path) // 4 :])],
                    fill="#e8a98a",
                    width=2,
                )
        for x, y in (
            pixel(frame.arrays["points"])
            if "points" in frame.arrays
            else paths[-1]
            if "paths" in frame.arrays
            else ()
        ):
            draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill="#B54700")
        image = image.resize((width, round(size[1] / 2)), Image.Resampling.LANCZOS)
        image = image.quantize(128)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
