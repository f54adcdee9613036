// Drawing on a canvas: colours of the two themes, axes, density, arrows, points, trails, sheets of pictures.

import { LEVELS, ORIGIN, array } from "./frames.js";
import { clamp, short } from "./numbers.js";

export const THEMES = {
  light: {
    ink: "#1d2b36",
    soft: "#566573",
    line: "#8795a1",
    halo: "rgba(255,255,255,.75)",
    dot: "#b54700",
    edge: "#ffffff",
    ramp: ["#ffffff", "#d3e7f4", "#8fc3e4", "#3b95cb", "#0072b2"], // dots, groups: the colours of plotting.py
    groups: ["#1a5a94", "#b54700", "#0c8849", "#cc8300", "#c47aab", "#079cde", "#6e6e6e"],
    below: ["#ffffff", "#f9ddca", "#efae83", "#e27d37", "#d55e00"],
    grey: ["#ffffff", "#e3e7ea", "#c4cbd1", "#9ca7b0", "#75818c"],
    paper: ["#ffffff", "#000000"],
    gap: "#d5dce2",
  },
  dark: {
    ink: "#f2f5f8",
    soft: "#a9b6c2",
    line: "#6b7986",
    halo: "rgba(10,14,19,.6)",
    dot: "#ff9a52",
    edge: "#10161c",
    ramp: ["#12181f", "#10344c", "#0d527c", "#0b70a9", "#2f94d1"],
    groups: ["#4aa8e6", "#ff8a45", "#2bc295", "#f2b632", "#dfa0c4", "#9bd6f7", "#a8a8a8"],
    below: ["#12181f", "#4a2a17", "#7d3f18", "#ad5217", "#db6c24"],
    grey: ["#12181f", "#242c35", "#38424c", "#4d5964", "#64717d"],
    paper: ["#10161c", "#ffffff"],
    gap: "#39434d",
  },
};

export function ramp(stops) {
  // 256 colours through the given ones
  const rgb = stops.map((s) => [1, 3, 5].map((i) => parseInt(s.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, k) => {
    const p = (k / 255) * (rgb.length - 1),
      i = Math.min(Math.floor(p), rgb.length - 2);
    return rgb[i].map((c, j) => Math.round(c + (p - i) * (rgb[i + 1][j] - c)));
  });
}

export function colours(meta, theme, neutral) {
  if (meta.range[0] < 0) return [...theme.below].reverse().concat(theme.ramp.slice(1));
  return neutral ? theme.grey : theme.ramp;
}

function dark() {
  const html = document.documentElement,
    body = document.body;
  if (html.dataset.theme) return html.dataset.theme === "dark"; // the site
  if (html.getAttribute("theme")) return html.getAttribute("theme") === "dark"; // Colab
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false"; // Jupyter
  if (body.dataset.vscodeThemeKind) return body.dataset.vscodeThemeKind.includes("dark");
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// The picture of a widget: draw() runs once a frame at most, when it is asked for and when the size or the theme changes;
// colour(theme) comes before the first drawing in a theme. Paper does not wait for a frame.
export function easel(root, plot, { draw, colour, failed }) {
  let pending = 0,
    gone = false;
  const redraw = () => {
    if (!pending) pending = requestAnimationFrame(drawNow);
  };
  function drawNow() {
    pending = 0;
    if (!gone)
      try {
        draw();
      } catch (error) {
        failed(error);
      }
  }
  function retheme() {
    const name = dark() ? "dark" : "light";
    if (root.dataset.theme === name) return;
    root.dataset.theme = name;
    colour(THEMES[name]);
    redraw();
  }
  function onPaper() {
    // the page may just have changed its theme
    retheme();
    drawNow();
  }
  retheme();
  const scheme = matchMedia("(prefers-color-scheme: dark)"),
    watch = new MutationObserver(retheme),
    size = new ResizeObserver(redraw);
  scheme.addEventListener("change", retheme);
  window.addEventListener("beforeprint", onPaper);
  for (const node of [document.documentElement, document.body])
    watch.observe(node, {
      attributeFilter: ["data-theme", "theme", "data-jp-theme-light", "data-vscode-theme-kind"],
    });
  size.observe(plot);
  function close() {
    gone = true;
    watch.disconnect();
    size.disconnect();
    scheme.removeEventListener("change", retheme);
    window.removeEventListener("beforeprint", onPaper);
  }
  return { redraw, close };
}

function ticks(a, b, wanted) {
  const raw = (b - a) / wanted,
    base = 10 ** Math.floor(Math.log10(raw));
  const step = base * [1, 2, 5, 10].find((m) => m * base >= raw * 0.999);
  const out = [];
  for (let k = Math.ceil(a / step - 1e-9); k * step <= b + 1e-9 * (b - a); k++) out.push(k * step);
  return out;
}

export function axes(g, box, meta, theme) {
  const [x0, x1, y0, y1] = meta.extent;
  g.strokeStyle = theme.line;
  g.fillStyle = theme.soft;
  g.lineWidth = 1;
  g.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
  g.font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  g.textAlign = "center";
  g.textBaseline = "top";
  const name = (v, span) => short(Math.abs(v) < 1e-9 * span ? 0 : v, 4);
  for (const v of ticks(x0, x1, clamp(box.w / 70, 2, 8))) {
    const x = Math.round(box.x + ((v - x0) / (x1 - x0)) * (box.w - 1)) + 0.5;
    g.beginPath();
    g.moveTo(x, box.y + box.h);
    g.lineTo(x, box.y + box.h + 4);
    g.stroke();
    g.fillText(name(v, x1 - x0), clamp(x, box.x + 8, box.x + box.w - 6), box.y + box.h + 6);
  }
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (const v of ticks(y0, y1, clamp(box.h / 55, 2, 8))) {
    const y = Math.round(box.y + ((y1 - v) / (y1 - y0)) * (box.h - 1)) + 0.5;
    g.beginPath();
    g.moveTo(box.x - 4, y);
    g.lineTo(box.x, y);
    g.stroke();
    g.fillText(name(v, y1 - y0), box.x - 7, clamp(y, box.y + 6, box.y + box.h - 4));
  }
  g.fillStyle = theme.ink;
  g.textAlign = "center";
  g.textBaseline = "alphabetic";
  g.font = "italic 14px Georgia, 'Times New Roman', serif";
  g.fillText(meta.axes[0], box.x + box.w / 2, box.y + box.h + 33);
  g.save();
  g.translate(10, box.y + box.h / 2);
  if (meta.axes[1].length > 2) g.rotate(-Math.PI / 2);
  g.fillText(meta.axes[1], 0, 4);
  g.restore();
}

export function density(g, box, frame, theme, neutral) {
  const d = array(frame, "density");
  if (!d) return;
  const key = neutral + theme.ink;
  if (frame.picture?.key !== key) {
    const [H, W] = d.shape,
      map = ramp(colours(frame.meta, theme, neutral));
    const canvas = Object.assign(document.createElement("canvas"), { width: W, height: H, key });
    const pixels = new ImageData(W, H);
    for (let r = 0; r < H; r++)
      for (let c = 0; c < W; c++)
        (pixels.data.set(map[d.data[(H - 1 - r) * W + c]], 4 * (r * W + c)),
          (pixels.data[4 * (r * W + c) + 3] = 255));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    frame.picture = canvas;
  }
  g.imageSmoothingEnabled = true;
  g.imageSmoothingQuality = "high";
  g.drawImage(frame.picture, 0.5, 0.5, d.shape[1] - 1, d.shape[0] - 1, box.x, box.y, box.w, box.h); // values stand at the pixels' centres
}

export function arrows(g, box, frame, theme) {
  const a = array(frame, "arrows");
  if (!a) return;
  const [h, w] = a.shape,
    dx = box.w / (w - 1),
    dy = box.h / (h - 1),
    size = Math.min(dx, dy) * 0.96,
    shafts = new Path2D(),
    heads = new Path2D(),
    still = new Path2D();
  for (let r = 1; r < h - 1; r++)
    for (let c = 1; c < w - 1; c++) {
      // those on the edge would be cut in half
      const i = 2 * (r * w + c),
        x = box.x + c * dx,
        y = box.y + box.h - r * dy;
      const u = (a.data[i] / 127) * size,
        v = (-a.data[i + 1] / 127) * size,
        length = Math.hypot(u, v);
      if (length < 1.5) {
        still.moveTo(x + 0.9, y);
        still.arc(x, y, 0.9, 0, 7);
        continue;
      }
      const head = clamp(0.42 * length, 2.2, 6.5) / length,
        tx = x + u / 2,
        ty = y + v / 2;
      shafts.moveTo(x - u / 2, y - v / 2);
      shafts.lineTo(tx - 0.7 * head * u, ty - 0.7 * head * v);
      heads.moveTo(tx, ty);
      heads.lineTo(tx - head * (u - 0.48 * v), ty - head * (v + 0.48 * u));
      heads.lineTo(tx - head * (u + 0.48 * v), ty - head * (v - 0.48 * u));
      heads.closePath();
    }
  g.lineCap = "round";
  g.lineJoin = "round";
  g.strokeStyle = theme.halo;
  g.lineWidth = 3;
  g.stroke(shafts);
  g.lineWidth = 2;
  g.stroke(heads);
  g.strokeStyle = g.fillStyle = theme.ink;
  g.lineWidth = 1.25;
  g.stroke(shafts);
  g.fill(heads);
  g.fill(still);
}

function place(frame, box) {
  // stored position → pixel
  const sx = (box.w - 1) / LEVELS,
    sy = (box.h - 1) / LEVELS;
  return [(q) => box.x + (q - ORIGIN) * sx, (q) => box.y + box.h - 1 - (q - ORIGIN) * sy];
}

export function dots(g, xy, radius, colour, theme) {
  const path = new Path2D();
  for (const [x, y] of xy) {
    path.moveTo(x + radius, y);
    path.arc(x, y, radius, 0, 7);
  }
  g.fillStyle = colour;
  g.strokeStyle = theme.edge;
  g.lineWidth = 1.2;
  g.stroke(path);
  g.fill(path);
}

export const radius = (n) => (n > 400 ? 1.8 : n > 120 ? 2.4 : n > 30 ? 3 : 4);

export function points(g, box, frame, theme) {
  const p = array(frame, "points");
  if (!p) return;
  const [X, Y] = place(frame, box),
    xy = [];
  for (let i = 0; i < p.data.length; i += 2) xy.push([X(p.data[i]), Y(p.data[i + 1])]);
  dots(g, xy, radius(p.shape[0]), theme.dot, theme);
}

export function trails(g, box, frame, theme, time) {
  // time: from 0 to T − 1, not always whole
  const {
      data,
      shape: [T, n],
    } = array(frame, "paths"),
    groups = array(frame, "groups")?.data;
  const [X, Y] = place(frame, box),
    last = Math.min(Math.floor(time), T - 1),
    part = time - last,
    whole = frame.meta.timelike;
  const at = (k, i, c) => (c ? Y : X)(data[2 * (k * n + i) + c]);
  const now = (i, c) =>
    part > 0 ? at(last, i, c) * (1 - part) + at(last + 1, i, c) * part : at(last, i, c);
  const first = whole ? 0 : Math.max(0, Math.floor(time - Math.max(4, 0.16 * T))),
    bands = whole ? 1 : 6;
  const members = Array.from({ length: 7 }, () => []);
  for (let i = 0; i < n; i++) members[groups ? groups[i] : 0].push(i);
  g.lineCap = g.lineJoin = "round";
  g.lineWidth = n > 200 ? 1 : n > 60 ? 1.3 : 1.7;
  members.forEach((list, group) => {
    if (!list.length) return;
    const colour = groups ? theme.groups[group] : theme.dot;
    g.strokeStyle = colour;
    for (let b = 0; b < bands; b++) {
      const from = first + Math.floor(((last - first) * b) / bands),
        to = first + Math.floor(((last - first) * (b + 1)) / bands);
      if (from === to && b < bands - 1) continue;
      g.globalAlpha = whole
        ? n > 60
          ? 0.45
          : 0.85
        : 0.06 + (n > 60 ? 0.36 : 0.5) * ((b + 1) / bands) ** 1.6;
      g.beginPath();
      for (const i of list) {
        g.moveTo(at(from, i, 0), at(from, i, 1));
        for (let k = from + 1; k <= to; k++) g.lineTo(at(k, i, 0), at(k, i, 1));
        if (b === bands - 1 && part > 0) g.lineTo(now(i, 0), now(i, 1));
      }
      g.stroke();
    }
    g.globalAlpha = 1;
    dots(
      g,
      list.map((i) => [now(i, 0), now(i, 1)]),
      whole ? Math.min(radius(n), 3) : radius(n),
      colour,
      theme,
    );
  });
}

export function sheet(g, width, height, frame, theme, ratio) {
  // width, height in device pixels
  const {
      data,
      shape: [n, H, W],
    } = array(frame, "pixels"),
    columns = frame.meta.columns,
    rows = Math.ceil(n / columns);
  const gap = Math.round(5 * ratio),
    line = Math.max(1, Math.round(ratio / 2));
  let scale =
    Math.min(
      (width - 2 * line + gap) / columns - gap,
      ((height - 2 * line + gap) / rows - gap) * (W / H),
    ) / W;
  if (Math.floor(scale) / scale > 0.93) scale = Math.floor(scale); // whole pixels where that costs little
  const w = W * scale,
    h = H * scale,
    x0 = (width - columns * (w + gap) + gap) / 2,
    y0 = (height - rows * (h + gap) + gap) / 2;
  const tile = Object.assign(document.createElement("canvas"), { width: W, height: H }),
    brush = tile.getContext("2d");
  const pixels = new ImageData(W, H),
    words = new Uint32Array(pixels.data.buffer);
  const map = ramp(theme.paper).map(([r, gr, b]) => (0xff000000 | (b << 16) | (gr << 8) | r) >>> 0);
  g.fillStyle = theme.gap;
  g.imageSmoothingEnabled = false;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < W * H; k++) words[k] = map[data[i * W * H + k]];
    brush.putImageData(pixels, 0, 0);
    const x = Math.round(x0 + (i % columns) * (w + gap)),
      y = Math.round(y0 + Math.floor(i / columns) * (h + gap));
    g.fillRect(x - line, y - line, Math.round(w) + 2 * line, Math.round(h) + 2 * line);
    g.drawImage(tile, x, y, Math.round(w), Math.round(h));
  }
}
