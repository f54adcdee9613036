// What the reader moves: a slider, a switch, cells that are painted.

import { ramp } from "./drawing.js";
import { clamp, short } from "./numbers.js";

export function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

const PAUSE = "M1 0h3v10H1zM6 0h3v10H6z",
  PLAY = "M1 0l9 5-9 5z";

// The buttons Play and Loop: `wound` says whether to begin again at the end.
export function player(parent, click) {
  const button = make("button", "", parent),
    loop = make("button", "", parent, "Loop");
  for (const b of [button, loop]) b.type = "button";
  loop.setAttribute("aria-pressed", "false");
  loop.title = "At the end, begin again";
  button.addEventListener("click", click);
  const wound = () => loop.getAttribute("aria-pressed") === "true";
  loop.addEventListener("click", () => loop.setAttribute("aria-pressed", !wound()));
  function show(playing) {
    const path = playing ? PAUSE : PLAY;
    button.innerHTML = `<svg viewBox="0 0 10 10" aria-hidden="true"><path d="${path}"/></svg>`;
    button.append(playing ? "Pause" : "Play");
  }
  show(false);
  return { button, loop, show, wound, click: () => button.click() };
}

let counter = 0;

export function fresh(kind = Date.now().toString(36)) {
  // an id that no other element of the page has
  return `sde-${kind}-${++counter}`;
}

// A slider whose stored values stand at equal distances: position i is keys[i], between them a live kernel is asked.
export function slider(c, parent, live, changed) {
  const id = fresh(),
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

export function toggle(c, parent, changed) {
  const id = fresh();
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
export function paint(c, parent, live, changed) {
  const { rows: R, columns: C, keys, picture } = c,
    parts = Math.log2(keys.length),
    bit = (b) => 1 << (parts - 1 - b);
  const own = Array.from({ length: parts }, (_, b) =>
    [...keys[bit(b)]].flatMap((v, i) => (v === "1" ? [i] : [])),
  ); // cells of each block
  const id = fresh(),
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
