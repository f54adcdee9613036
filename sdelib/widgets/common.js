// What every widget of the book is made of: colours, style, drawing, controls. A widget's own module follows it in one text.

const LEVELS = 4095,
  ORIGIN = 28672; // positions, as in frames.py
const THEMES = {
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

const CSS = `
.sde-x { container-type: inline-size; margin: 1rem 0; font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  --ink: #1d2b36; --soft: #566573; --line: #c9d2da; --fill: #f4f6f8; --accent: #0072b2; --on: #fff; --alarm: #a63f00; color: var(--ink); }
.sde-x[data-theme="dark"], html[data-theme="dark"] .sde-still { --ink: #e8edf2; --soft: #a9b6c2; --line: #45515e; --fill: #1c232b; --accent: #56b4e9; --on: #10161c; --alarm: #ffb38a; }
.sde-x *, .sde-x *::before { box-sizing: border-box; }
.sde-x p { margin: 0; }
.sde-frame { display: grid; gap: 0.75rem 1.5rem; grid-template-columns: minmax(0, 1fr); }
.sde-stage { min-width: 0; width: 100%; max-width: 40rem; justify-self: center; }
.sde-plot { position: relative; padding: 6px 8px 40px 38px; }
.sde-images .sde-plot { padding: 0; }
.sde-area { width: 100%; }
.sde-x canvas { position: absolute; inset: 0; width: 100%; height: 100%; display: block; margin: 0; }
.sde-images canvas { image-rendering: pixelated; }
.sde-legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; min-height: 1.45em; padding-left: 38px; color: var(--soft); font-size: 13px; }
.sde-images .sde-legend { display: none; }
.sde-legend > span { display: inline-flex; align-items: center; gap: 0.4em; font-variant-numeric: tabular-nums; }
.sde-legend > .sde-scale { flex-basis: 100%; }
.sde-bar { display: inline-block; width: 5.5em; height: 0.75em; border: 1px solid var(--line); border-radius: 2px; }
.sde-dot { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 50%; }
.sde-x .sde-note { min-height: 1.45em; padding-left: 38px; font-weight: 600; font-variant-numeric: tabular-nums; }
.sde-x.sde-images .sde-note { padding: 0.4rem 0 0; min-height: 1.85em; }
.sde-panel { display: flex; flex-direction: column; gap: 0.9rem; min-width: 0; }
.sde-control { border: 0; margin: 0; padding: 0; min-width: 0; }
.sde-head { display: flex; justify-content: space-between; gap: 0.75em; }
.sde-value { font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.sde-track { position: relative; }
.sde-x input[type="range"] { -webkit-appearance: none; appearance: none; display: block; width: 100%; height: 30px; margin: 0; padding: 0; border: 0;
  background: none; cursor: pointer; touch-action: pan-y; position: relative; }
.sde-x input[type="range"]::-webkit-slider-runnable-track { height: 4px; border-radius: 2px;
  background: linear-gradient(90deg, var(--accent) var(--at, 0%), var(--line) var(--at, 0%)); }
.sde-x input[type="range"]::-moz-range-track { height: 4px; border-radius: 2px;
  background: linear-gradient(90deg, var(--accent) var(--at, 0%), var(--line) var(--at, 0%)); }
.sde-x input[type="range"]::-webkit-slider-thumb { -webkit-appearance: none; width: 18px; height: 18px; margin-top: -7px; border-radius: 50%;
  background: var(--accent); border: 2px solid var(--on); box-shadow: 0 0 0 1px var(--accent); }
.sde-x input[type="range"]::-moz-range-thumb { width: 14px; height: 14px; border-radius: 50%;
  background: var(--accent); border: 2px solid var(--on); box-shadow: 0 0 0 1px var(--accent); }
.sde-ticks { position: absolute; left: 9px; right: 9px; top: 21px; height: 4px; pointer-events: none; }
.sde-ticks i { position: absolute; width: 1px; height: 4px; margin-left: -0.5px; background: var(--soft); opacity: 0.7; }
.sde-options { display: flex; flex-wrap: wrap; gap: 4px; margin-top: 5px; }
.sde-x button { font: inherit; line-height: 1.3; min-height: 34px; padding: 5px 12px; border-radius: 6px; border: 1px solid var(--line);
  background: var(--fill); color: var(--ink); cursor: pointer; }
.sde-x button:hover { border-color: var(--accent); }
.sde-x button[aria-checked="true"] { background: var(--accent); border-color: var(--accent); color: var(--on); font-weight: 600; }
.sde-x button:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
.sde-x input[type="range"]:focus { outline: none; }
.sde-x input[type="range"]:focus-visible::-webkit-slider-thumb { box-shadow: 0 0 0 2px var(--on), 0 0 0 5px var(--ink); }
.sde-x input[type="range"]:focus-visible::-moz-range-thumb { box-shadow: 0 0 0 2px var(--on), 0 0 0 5px var(--ink); }
.sde-paint { position: relative; width: 100%; max-width: 13.25rem; margin-top: 5px; aspect-ratio: var(--shape, 1); border: 1px solid var(--line); border-radius: 4px; overflow: hidden; }
.sde-paint[data-brush] { touch-action: none; cursor: crosshair; }
.sde-paint svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; image-rendering: pixelated; }
.sde-paint path { fill: var(--accent); fill-opacity: 0.82; }
.sde-x .sde-paint button { position: absolute; min-height: 0; padding: 0; margin: 0; border: 1px dashed var(--soft); border-radius: 0; background: none; cursor: inherit; }
.sde-x .sde-paint button:focus-visible { outline: 3px solid var(--ink); outline-offset: -4px; }
.sde-actions { display: flex; gap: 6px; }
.sde-actions button { display: inline-flex; align-items: center; gap: 0.5em; }
.sde-actions svg { width: 0.8em; height: 0.8em; fill: currentColor; }
.sde-x .sde-status { min-height: 2.9em; color: var(--soft); font-size: 13px; }
.sde-x .sde-status[data-kind="error"] { color: var(--alarm); font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere; }
.sde-x .sde-caption { color: var(--soft); grid-column: 1 / -1; }
@container (min-width: 620px) {
  .sde-frame.sde-beside { grid-template-columns: minmax(0, 36rem) 13.25rem; justify-content: start; }
  .sde-frame.sde-beside .sde-panel { padding-top: 6px; }
  .sde-frame.sde-beside .sde-status { min-height: 4.2em; }
}
@container (min-width: 560px) {
  .sde-frame:not(.sde-beside) .sde-panel { display: grid; grid-template-columns: 1fr 1fr; gap: 0.6rem 2rem; align-items: start; padding-left: 38px; }
  .sde-frame:not(.sde-beside) .sde-stage { max-width: none; }
  .sde-images .sde-frame .sde-panel { padding-left: 0; }
}
.sde-still .sde-panel > * { visibility: hidden; }
.sde-still img { width: 100%; height: 100%; display: block; object-fit: contain; }
.sde-off { display: none; }
@media (scripting: none) { .sde-still .sde-panel { display: none !important; } .sde-off { display: inline; } }
@media print { .sde-panel { display: none !important; } }
`;

function array(frame, name) {
  const where = frame.meta.arrays[name];
  if (!where) return null;
  if (frame.decoded[name]) return frame.decoded[name];
  const [offset, ...shape] = where,
    n = shape.reduce((a, b) => a * b, 1),
    row = n / shape[0];
  const raw = frame.bytes.subarray(frame.start + offset);
  let data;
  if (name === "paths" || name === "points") {
    // differences along the first axis, low bytes then high bytes
    data = new Uint16Array(n);
    for (let i = 0; i < n; i++)
      data[i] = (raw[i] | (raw[n + i] << 8)) + (i < row ? 0 : data[i - row]);
  } else if (name === "density") {
    // differences along a row
    data = new Uint8Array(n);
    for (let i = 0; i < n; i++) data[i] = raw[i] + (i % row ? data[i - 1] : 0);
  } else if (name === "arrows") data = new Int8Array(raw.buffer, raw.byteOffset, n);
  else data = raw.subarray(0, n);
  return (frame.decoded[name] = { data, shape });
}

// ---- numbers and colours ------------------------------------------------------------------------

const clamp = (v, a, b) => Math.min(Math.max(v, a), b);
const short = (v, digits = 3) =>
  (v === 0
    ? "0"
    : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3
      ? Number(v.toPrecision(digits)).toExponential().replace("e+", "e")
      : String(Number(v.toPrecision(digits)))
  ).replace("-", "−");

function uniforms(seed) {
  // draws from (0, 1), in steps of 2⁻³²; the same for the same seed. Three words are mixed, a fourth counts: sfc32
  let a = 0,
    b = seed >>> 0,
    c = Math.floor(seed / 2 ** 32) >>> 0,
    count = 1;
  const next = () => {
    const sum = (a + b + count++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return ((sum >>> 0) + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next(); // seeds that are neighbours part
  return next;
}

function normals(seed) {
  // a function that returns the next draw of N(0, 1): Box and Muller, so no draw is beyond √(2 ln 2³³) = 6.8
  const u = uniforms(seed);
  let kept = null;
  return () => {
    if (kept !== null) {
      const z = kept;
      kept = null;
      return z;
    }
    const r = Math.sqrt(-2 * Math.log(u())),
      angle = 2 * Math.PI * u();
    kept = r * Math.sin(angle);
    return r * Math.cos(angle);
  };
}

function ramp(stops) {
  // 256 colours through the given ones
  const rgb = stops.map((s) => [1, 3, 5].map((i) => parseInt(s.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, k) => {
    const p = (k / 255) * (rgb.length - 1),
      i = Math.min(Math.floor(p), rgb.length - 2);
    return rgb[i].map((c, j) => Math.round(c + (p - i) * (rgb[i + 1][j] - c)));
  });
}

function colours(meta, theme, neutral) {
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
function easel(root, plot, { draw, colour, failed }) {
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

// ---- drawing ------------------------------------------------------------------------------------

function ticks(a, b, wanted) {
  const raw = (b - a) / wanted,
    base = 10 ** Math.floor(Math.log10(raw));
  const step = base * [1, 2, 5, 10].find((m) => m * base >= raw * 0.999);
  const out = [];
  for (let k = Math.ceil(a / step - 1e-9); k * step <= b + 1e-9 * (b - a); k++) out.push(k * step);
  return out;
}

function axes(g, box, meta, theme) {
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

function density(g, box, frame, theme, neutral) {
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

function arrows(g, box, frame, theme) {
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

function dots(g, xy, radius, colour, theme) {
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

const radius = (n) => (n > 400 ? 1.8 : n > 120 ? 2.4 : n > 30 ? 3 : 4);

function points(g, box, frame, theme) {
  const p = array(frame, "points");
  if (!p) return;
  const [X, Y] = place(frame, box),
    xy = [];
  for (let i = 0; i < p.data.length; i += 2) xy.push([X(p.data[i]), Y(p.data[i + 1])]);
  dots(g, xy, radius(p.shape[0]), theme.dot, theme);
}

function trails(g, box, frame, theme, time) {
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

function sheet(g, width, height, frame, theme, ratio) {
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

// ---- controls -----------------------------------------------------------------------------------

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

let counter = 0;

// A slider whose stored values stand at equal distances: position i is keys[i], between them a live kernel is asked.
function slider(c, parent, live, changed) {
  const id = `sde-${Date.now().toString(36)}-${++counter}`,
    n = c.keys.length,
    top = n - 1;
  let digits = 3;
  while (digits < 7 && new Set(c.keys.map((v) => v.toPrecision(digits))).size < n) digits++;
  const box = make("div", "sde-control", parent),
    head = make("div", "sde-head", box);
  const label = make("label", "", head, c.label),
    output = make("span", "sde-value", head);
  const track = make("div", "sde-track", box);
  if (n <= 41) {
    // one mark for each stored value
    const marks = make("div", "sde-ticks", track);
    for (let i = 0; i < n; i++) make("i", "", marks).style.left = `${(100 * i) / top}%`;
  }
  const input = make("input", "", track);
  Object.assign(input, { type: "range", id, min: 0, max: top, step: "any" });
  label.htmlFor = id;
  input.dataset.name = c.name;
  const state = { position: c.start, value: c.keys[c.start] };

  function between(p) {
    // the number at a position, rounded to a tenth of a cell
    const i = clamp(Math.floor(p), 0, top - 1),
      a = c.keys[i],
      b = c.keys[i + 1],
      f = p - i;
    const v = c.log ? a * (b / a) ** f : a + (b - a) * f;
    if (c.integer) return Math.round(v);
    const step = 10 ** Math.floor(Math.log10((b - a) / 10));
    return clamp(Number((Math.round(v / step) * step).toPrecision(12)), a, b);
  }
  function position(v) {
    const i = clamp(c.keys.findIndex((k) => k >= v) - 1, 0, top - 1),
      a = c.keys[i],
      b = c.keys[i + 1];
    return i + (c.log ? Math.log(v / a) / Math.log(b / a) : (v - a) / (b - a));
  }
  const say = (v) =>
    (c.integer ? String(v) : short(v, digits + (c.keys.includes(v) ? 0 : 1))) +
    (c.unit ? ` ${c.unit}` : "");
  function show() {
    input.value = state.position;
    input.style.setProperty("--at", `${(100 * state.position) / top}%`);
    output.textContent = say(state.value);
    input.setAttribute("aria-valuetext", say(state.value));
  }
  function set(p, quiet) {
    // where the reader wants the slider
    p = clamp(p, 0, top);
    const nearest = Math.round(p),
      wanted = Math.abs(p - nearest) < 0.03 ? c.keys[nearest] : between(p);
    const stored = c.keys.indexOf(wanted),
      snapped = stored < 0 && !live();
    if (stored >= 0) Object.assign(state, { position: stored, value: wanted });
    else if (live()) Object.assign(state, { position: p, value: wanted });
    else Object.assign(state, { position: nearest, value: c.keys[nearest] });
    show();
    if (!quiet) changed(snapped ? `${c.label} = ${say(state.value)}` : "");
  }
  input.addEventListener("input", () => set(Number(input.value)));
  input.addEventListener("keydown", (e) => {
    const small = live() ? (c.integer ? null : 0.1) : 1,
      p = state.position;
    const next = (sign) =>
      small === null
        ? position(clamp(state.value + sign, c.keys[0], c.keys[top]))
        : p + sign * small;
    const to = {
      ArrowRight: () => next(1),
      ArrowUp: () => next(1),
      ArrowLeft: () => next(-1),
      ArrowDown: () => next(-1),
      PageUp: () => Math.floor(p + 1e-9) + 1,
      PageDown: () => Math.ceil(p - 1e-9) - 1,
      Home: () => 0,
      End: () => top,
    }[e.key];
    if (!to || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    e.stopPropagation();
    set(to());
  });
  show();
  return {
    c,
    input,
    state,
    say,
    set,
    top,
    index: () => Math.round(state.position),
    snap: () =>
      Object.assign(state, {
        position: Math.round(state.position),
        value: c.keys[Math.round(state.position)],
      }) && show(),
  };
}

function toggle(c, parent, changed) {
  const id = `sde-${Date.now().toString(36)}-${++counter}`;
  const box = make("div", "sde-control", parent),
    label = make("div", "", box, c.label),
    group = make("div", "sde-options", box);
  label.id = id;
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-labelledby", id);
  group.dataset.name = c.name;
  const state = { position: c.start, value: c.keys[c.start] };
  const buttons = c.keys.map((key, i) => {
    const b = make("button", "", group, key);
    b.type = "button";
    b.setAttribute("role", "radio");
    b.addEventListener("click", () => set(i));
    b.addEventListener("keydown", (e) => {
      const to = {
        ArrowRight: i + 1,
        ArrowDown: i + 1,
        ArrowLeft: i - 1,
        ArrowUp: i - 1,
        Home: 0,
        End: c.keys.length - 1,
      }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      e.stopPropagation();
      set((to + c.keys.length) % c.keys.length);
      buttons[state.position].focus();
    });
    return b;
  });
  function set(i, quiet) {
    Object.assign(state, { position: i, value: c.keys[i] });
    buttons.forEach((b, k) => {
      b.setAttribute("aria-checked", k === i);
      b.tabIndex = k === i ? 0 : -1;
    });
    if (!quiet) changed("");
  }
  set(c.start, true);
  return { c, state, say: (v) => v, set, top: 0, index: () => state.position, snap() {} };
}

// Cells that are marked: a block at a time, or, with a live kernel, cell by cell with a brush. keys[b] is the choice b of blocks.
function paint(c, parent, live, changed) {
  const { rows: R, columns: C, keys, picture } = c,
    parts = Math.log2(keys.length),
    bit = (b) => 1 << (parts - 1 - b);
  const own = Array.from({ length: parts }, (_, b) =>
    [...keys[bit(b)]].flatMap((v, i) => (v === "1" ? [i] : [])),
  ); // cells of each block
  const id = `sde-${Date.now().toString(36)}-${++counter}`,
    box = make("div", "sde-control", parent),
    head = make("div", "sde-head", box);
  const label = make("span", "", head, c.label),
    output = make("span", "sde-value", head),
    area = make("div", "sde-paint", box);
  label.id = id;
  area.setAttribute("role", "group");
  area.setAttribute("aria-labelledby", id);
  area.dataset.name = c.name;
  area.style.setProperty("--shape", `${C} / ${R}`);
  const svg = area.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
  svg.setAttribute("viewBox", `0 0 ${C} ${R}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const node = (name) =>
    svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
  const under = picture ? node("image") : null,
    marks = node("path");
  const state = { position: c.start, value: keys[c.start] };

  function colour(theme) {
    // the picture, as ink on the paper of the theme
    if (!under) return;
    const H = picture.length,
      W = picture[0].length,
      map = ramp(theme.paper),
      pixels = new ImageData(W, H);
    picture.flat().forEach((v, i) => pixels.data.set([...map[v], 255], 4 * i));
    const sheet = Object.assign(document.createElement("canvas"), { width: W, height: H });
    sheet.getContext("2d").putImageData(pixels, 0, 0);
    for (const [k, v] of Object.entries({
      width: C,
      height: R,
      preserveAspectRatio: "none",
      href: sheet.toDataURL(),
    }))
      under.setAttribute(k, v);
  }
  const buttons = own.map((cells, b) => {
    const y = cells.map((i) => Math.floor(i / C)),
      x = cells.map((i) => i % C),
      button = make("button", "", area);
    const top = Math.min(...y),
      left = Math.min(...x),
      bottom = Math.max(...y) + 1,
      right = Math.max(...x) + 1;
    Object.assign(button.style, {
      top: `${(100 * top) / R}%`,
      left: `${(100 * left) / C}%`,
      height: `${(100 * (bottom - top)) / R}%`,
      width: `${(100 * (right - left)) / C}%`,
    });
    button.type = "button";
    button.setAttribute("role", "checkbox");
    button.setAttribute(
      "aria-label",
      `part ${b + 1} of ${parts}: rows ${top + 1} to ${bottom}, columns ${left + 1} to ${right} of ${R} by ${C}`,
    );
    button.addEventListener("click", (e) => {
      if (e.detail && live()) return; // the brush did it
      const cells = [...state.value],
        on = marked(b) ? "0" : "1";
      own[b].forEach((i) => (cells[i] = on));
      put(cells.join(""));
      changed("");
    });
    button.addEventListener("keydown", (e) => e.key === " " && e.stopPropagation());
    return button;
  });
  const marked = (b) => own[b].filter((i) => state.value[i] === "1").length * 2 > own[b].length;
  const nearest = () => own.reduce((k, _, b) => k + (marked(b) ? bit(b) : 0), 0);
  const say = (v) => {
    const n = [...v].filter((a) => a === "1").length;
    return n === 0
      ? "nothing"
      : n === R * C
        ? "everything"
        : `${Math.round((100 * n) / (R * C))} %`;
  };
  function put(value) {
    const k = keys.indexOf(value);
    Object.assign(state, { value, position: k < 0 ? nearest() : k });
    if (k < 0) state.position = nearest();
    show();
  }
  function show() {
    marks.setAttribute(
      "d",
      [...state.value]
        .map((v, i) => (v === "1" ? `M${i % C} ${Math.floor(i / C)}h1v1h-1z` : ""))
        .join(""),
    );
    buttons.forEach((button, b) => button.setAttribute("aria-checked", marked(b)));
    output.textContent = say(state.value);
    area.toggleAttribute("data-brush", live());
  }
  function set(k, quiet) {
    Object.assign(state, { position: k, value: keys[k] });
    show();
    if (!quiet) changed("");
  }
  let stroke = null; // what the brush writes
  function brush(e) {
    const r = area.getBoundingClientRect(),
      x = Math.floor((C * (e.clientX - r.left)) / r.width),
      y = Math.floor((R * (e.clientY - r.top)) / r.height),
      cells = [...state.value];
    if (x < 0 || y < 0 || x >= C || y >= R) return;
    stroke ??= cells[y * C + x] === "1" ? "0" : "1";
    for (const [i, j] of [
      [x, y],
      [x + 1, y],
      [x, y + 1],
      [x + 1, y + 1],
    ])
      if (i < C && j < R) cells[j * C + i] = stroke;
    put(cells.join(""));
  }
  area.addEventListener("pointerdown", (e) => {
    if (live() && e.isPrimary) {
      area.setPointerCapture(e.pointerId);
      brush(e);
    }
  });
  area.addEventListener("pointermove", (e) => stroke !== null && brush(e));
  for (const end of ["pointerup", "pointercancel"])
    area.addEventListener(end, () => {
      if (stroke !== null) {
        stroke = null;
        changed("");
      }
    });
  show();
  return {
    c,
    state,
    say,
    set,
    top: 0,
    colour,
    index: () => state.position,
    snap: () => set(nearest(), true),
  };
}
