// The explorer: draws baked frames, and asks a kernel, where there is one, for the values between them.
// It runs in Jupyter and Colab (anywidget) and on a page without a kernel (host.js).

import { fresh, make, paint, player, slider, toggle } from "./controls.js";
import { arrows, axes, colours, density, easel, points, sheet, trails } from "./drawing.js";
import { unpack } from "./frames.js";
import { clamp, short } from "./numbers.js";

const PATIENCE = 3000; // ms without a word from the kernel
const REST = 1200; // ms at the end of a run that begins again

export function render({ model, el }) {
  const spec = model.get("spec"),
    view = spec.view,
    calm = matchMedia("(prefers-reduced-motion: reduce)");
  const root = make("div", `sde-x sde-${view}`, el);
  const frameBox = make(
    "div",
    `sde-frame${spec.aspect <= (view === "images" ? 2.1 : 1.45) ? " sde-beside" : ""}`,
    root,
  );
  const stage = make("div", "sde-stage", frameBox),
    plot = make("div", "sde-plot", stage);
  make("div", "sde-area", plot).style.aspectRatio = spec.aspect;
  const canvas = make("canvas", "", plot),
    g = canvas.getContext("2d");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", spec.alt || spec.caption);
  const legend = make("div", "sde-legend", stage),
    note = make("p", "sde-note", stage);
  const panel = make("div", "sde-panel", frameBox),
    plays = view === "particles" || spec.controls.some((c) => c.kind === "slider"),
    bar = () => make("div", "sde-actions", panel),
    above = plays ? bar() : null; // Play stands first, next to the picture also on a phone
  let kernel = spec.live && typeof model.send === "function"; // believed until 3 s pass without an answer
  const controls = spec.controls.map((c) =>
    c.kind === "slider"
      ? slider(c, panel, () => kernel, moved)
      : c.kind === "paint"
        ? paint(c, panel, () => kernel, moved)
        : toggle(c, panel, moved),
  );
  const scrub = view === "particles" ? timeBar() : null;
  const actions = above ?? bar(),
    sweep = controls.find((c) => c.c.kind === "slider"),
    play = plays ? player(actions, () => (playing ? stop() : start())) : null,
    reset = make("button", "", actions, "Reset"),
    where = play ? make("p", "sde-where", actions) : null,
    status = make("p", "sde-status", panel);
  reset.type = "button";
  status.setAttribute("role", "status");
  where?.setAttribute("aria-live", "polite");
  if (spec.caption) make("p", "sde-caption", frameBox, spec.caption);

  let frames = null,
    shown = null,
    phase = 1,
    playing = 0,
    gone = false,
    theme,
    sight = null;
  const kept = new Map(),
    me = Math.random().toString(36).slice(2);
  let asked = 0,
    flight = null,
    waiting = null,
    timer = 0;

  root.addEventListener("keydown", (e) => {
    // a button has its own space
    if (e.key !== " " || !play || e.target.type !== "range") return;
    e.preventDefault();
    e.stopPropagation();
    if (!e.repeat) play.click();
  });
  reset.addEventListener("click", () => {
    stop();
    controls.forEach((c) => c.set(c.c.start, true));
    phase = 1;
    moved("");
  });

  // -- which frame
  const values = () => Object.fromEntries(controls.map((c) => [c.c.name, c.state.value]));
  const stored = () => controls.every((c) => c.c.keys.includes(c.state.value));
  const nearest = () => frames[controls.reduce((i, c) => i * c.c.keys.length + c.index(), 0)];
  const words = () => controls.map((c) => `${c.c.label} = ${c.say(c.state.value)}`).join(", ");
  const rounded = () =>
    controls
      .filter((c) => !c.c.keys.includes(c.state.value))
      .map((c) => `${c.c.label} = ${c.say(c.c.keys[c.index()])}`)
      .join(", ");

  function tell(text, kind = "") {
    if (status.textContent !== text) status.textContent = text;
    if (text) root.dataset.told = ""; // from now on there is room for such words
    status.dataset.kind = kind;
    root.toggleAttribute("data-error", kind === "error");
    root.toggleAttribute("data-busy", kind === "busy");
  }

  function moved(snapped) {
    // a control has a new value; snapped: what is shown in place of what was asked
    if (!frames) return;
    const key = JSON.stringify(values());
    waiting = null;
    if (stored()) {
      asked++; // an answer that is still under way is too old
      settle();
      tell(snapped ? instead(snapped) : "");
      show(nearest());
    } else if (kept.has(key)) {
      asked++;
      settle();
      tell("computed by the kernel");
      show(kept.get(key));
    } else {
      show(nearest());
      request(key);
    }
  }

  function instead(shown) {
    // a value was asked that is not stored, and nobody computes it: what is shown, and what the reader can do
    const here = `This page holds ${sweep?.top < 41 ? "the values at the marks" : `${sweep?.top + 1} values`}. You see the nearest: ${shown}.`;
    if (!spec.live) return here;
    return typeof model.send === "function"
      ? `No kernel answers, so you see the nearest stored value: ${shown}. Run the notebook's cells, and any value is computed.`
      : `${here} The others are computed where Python runs: press the rocket at the top.`;
  }
  function request(key) {
    tell(`computing ${words()} …`, "busy");
    if (flight) {
      waiting = key;
      return;
    } // one request at a time; the newest waits
    flight = { id: `${me}:${++asked}`, key };
    timer = setTimeout(silent, PATIENCE);
    try {
      model.send({ kind: "compute", id: flight.id, values: values() });
    } catch (error) {
      clearTimeout(timer);
      console.warn(error);
      silent();
    }
  }
  function settle() {
    clearTimeout(timer);
    flight = null;
  }
  function silent() {
    // no kernel, or a busy one
    flight = waiting = null;
    kernel = false;
    const near = rounded();
    controls.forEach((c) => c.snap());
    tell(instead(near));
    show(nearest());
  }
  async function heard(message) {
    if (typeof message?.id !== "string" || !message.id.startsWith(`${me}:`)) return;
    kernel = spec.live;
    const current = flight && message.id === flight.id && message.id === `${me}:${asked}`;
    if (message.kind === "working") {
      if (current) clearTimeout(timer);
      return;
    }
    if (!current) return; // older than the newest request
    const { key } = flight;
    if (message.kind === "error") {
      settle();
      tell(message.message, "error");
    } else {
      let frame;
      try {
        [frame] = await unpack(message.frame);
      } catch (error) {
        settle();
        return fail(error);
      }
      kept.set(key, frame);
      if (kept.size > 60) kept.delete(kept.keys().next().value);
      if (gone || !flight || flight.id !== message.id) return;
      settle();
      tell("computed by the kernel");
      show(frame);
    }
    if (waiting !== null) moved(""); // the reader moved on meanwhile
  }

  function fail(error) {
    console.error(error);
    tell(`this picture could not be drawn: ${error.message}`, "error");
  }

  // -- time
  function timeBar() {
    const box = make("div", "sde-control", panel),
      head = make("div", "sde-head", box),
      label = make("label", "", head, "time");
    const output = make("span", "sde-value", head),
      input = make("input", "", make("div", "sde-track", box));
    Object.assign(input, { type: "range", id: fresh("t"), min: 0, step: 1 });
    input.dataset.name = "";
    label.htmlFor = input.id;
    input.addEventListener("input", () => {
      stop();
      phase = Number(input.value) / Number(input.max);
      redraw();
    });
    input.addEventListener("keydown", (e) => e.key.startsWith("Arrow") && e.stopPropagation());
    return { box, input, label, output };
  }
  const length = () => (shown?.meta.arrays.paths ? shown.meta.arrays.paths[1] : 1);
  function showTime() {
    const T = length(),
      k = Math.round(phase * (T - 1)),
      times = shown.meta.times;
    scrub.box.hidden = T < 2;
    scrub.input.max = T - 1;
    scrub.input.value = k;
    scrub.input.style.setProperty("--at", `${100 * phase}%`);
    scrub.label.textContent = times ? "time t" : "step";
    scrub.output.textContent = times ? short(times[k]) : `${k} of ${T - 1}`;
    scrub.input.setAttribute("aria-valuetext", scrub.output.textContent);
  }
  const overTime = () => scrub && length() > 1;
  function place() {
    // where Play is, of how many, and which way it runs
    if (overTime()) {
      const T = length(),
        k = Math.round(phase * (T - 1)),
        times = shown.meta.times;
      if (!times) return `step ${k} of ${T - 1}`;
      const way = times[T - 1] > times[0] ? "forward in time" : "towards the data";
      return `t = ${short(times[k])}, ${k + 1} of ${T}, ${way}`;
    }
    if (!sweep) return "";
    const { c, state } = sweep,
      k = c.keys.indexOf(state.value),
      at = `${c.label} = ${sweep.say(state.value)}`;
    if (k < 0) return at;
    return down
      ? `${at}, ${sweep.top + 1 - k} of ${sweep.top + 1}, towards the data`
      : `${at}, ${k + 1} of ${sweep.top + 1}`;
  }
  // Play runs over the first slider: to its left end, where the data are, or to its right one.
  const down = sweep?.c.play === "down",
    ended = () =>
      overTime() ? phase >= 1 : down ? sweep.index() <= 0 : sweep.index() >= sweep.top;
  function rewind() {
    if (overTime()) phase = 0;
    else sweep.set(down ? sweep.top : 0);
  }
  function start() {
    if (!shown || (!overTime() && !sweep)) return;
    const film = overTime(),
      T = length(),
      n = sweep ? sweep.top + 1 : 0;
    if (ended()) rewind();
    where.setAttribute("aria-live", "off"); // it changes too often to be read out
    const beat = calm.matches ? 600 : film ? 0 : clamp(4000 / n, 90, 400),
      span = clamp(T * 60, 2500, 6000);
    let before = performance.now();
    const tick = (now) => {
      const gap = now - before;
      if (ended()) {
        // it goes round: first it rests
        if (!play.wound()) return stop();
        if (gap >= REST) {
          before = now;
          rewind();
          redraw();
        }
      } else if (gap >= beat) {
        before = now;
        if (film) {
          phase = Math.min(1, phase + (calm.matches ? 0.1 : gap / span));
          redraw();
        } else sweep.set(sweep.index() + (down ? -1 : 1));
        if (ended() && !play.wound()) return stop();
      }
      playing = requestAnimationFrame(tick);
    };
    playing = requestAnimationFrame(tick);
    play.show(true);
  }
  function stop() {
    cancelAnimationFrame(playing);
    if (!playing) return;
    playing = 0;
    play.show(false);
    where.setAttribute("aria-live", "polite");
    where.textContent = ""; // so that the place where it stopped is news
    redraw();
  }

  // -- picture
  function show(frame) {
    shown = frame;
    redraw();
  }
  function redraw() {
    sight?.redraw();
  }
  function draw() {
    if (!shown) return;
    const W = plot.clientWidth,
      H = plot.clientHeight,
      ratio = window.devicePixelRatio || 1;
    if (!W || !H) return; // hidden: the observer calls again
    const width = Math.round(W * ratio),
      height = Math.round(H * ratio);
    if (canvas.width !== width || canvas.height !== height)
      Object.assign(canvas, { width, height });
    const { meta } = shown;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, width, height);
    if (view === "images") sheet(g, width, height, shown, theme, ratio);
    else {
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      const box = { x: 38, y: 6, w: W - 46, h: H - 46 };
      g.save();
      g.beginPath();
      g.rect(box.x, box.y, box.w, box.h);
      g.clip();
      g.fillStyle = theme.ramp[0];
      g.fillRect(box.x, box.y, box.w, box.h);
      density(g, box, shown, theme, view === "particles");
      if (view === "field") {
        arrows(g, box, shown, theme);
        points(g, box, shown, theme);
      } else trails(g, box, shown, theme, phase * (length() - 1));
      g.restore();
      axes(g, box, meta, theme);
    }
    if (scrub) showTime();
    const now = where ? place() : "";
    if (where && where.textContent !== now) where.textContent = now;
    explain(meta);
    root.dataset.shown = JSON.stringify(values());
    root.dataset.ready = "";
  }
  function explain(meta) {
    // everything about the frame that is text
    if (note.textContent !== meta.note) note.textContent = meta.note;
    canvas.setAttribute(
      "aria-label",
      [spec.alt || spec.caption, words(), meta.note].filter(Boolean).join(". "),
    );
    const key = [meta.range, meta.label, meta.longest, meta.labels, theme.ink].join();
    if (legend.dataset.key === key) return;
    legend.dataset.key = key;
    legend.replaceChildren();
    if (meta.range) {
      const item = make("span", "sde-scale", legend, meta.label),
        [low, high] = meta.range;
      make("span", "", item, short(low));
      make("span", "sde-bar", item).style.background =
        `linear-gradient(90deg, ${colours(meta, theme, view === "particles").join(", ")})`;
      make("span", "", item, short(high));
    }
    if (meta.longest !== undefined)
      make("span", "", legend, `longest arrow ${short(meta.longest)}, drawn length ∝ √`);
    meta.labels?.forEach((text, i) => {
      if (!text) return;
      const item = make("span", "", legend);
      make("span", "sde-dot", item).style.background = theme.groups[i];
      item.append(text);
    });
  }

  // -- surroundings
  sight = easel(root, plot, {
    draw,
    colour: (now) => {
      theme = now;
      controls.forEach((c) => c.colour?.(now));
    },
    failed: (error) => {
      stop();
      fail(error);
    },
  });
  model.on("msg:custom", heard);

  const load = () =>
    unpack(model.get("frames"))
      .then((list) => {
        if (!gone) {
          frames = list;
          moved("");
          watch.observe(plot);
        }
      })
      .catch(fail);
  let once = spec.once && play && !calm.matches; // it begins by itself, when it is first seen
  const touched = () => (once = false);
  for (const kind of ["pointerdown", "keydown", "input"])
    root.addEventListener(kind, touched, { capture: true });
  const watch = new IntersectionObserver((list) => {
    const seen = list[list.length - 1].isIntersecting;
    if (!seen) return stop(); // nobody looks
    if (!once) return;
    touched();
    rewind();
    start();
  });
  load();
  return () => {
    gone = true;
    stop();
    watch.disconnect();
    clearTimeout(timer);
    sight.close();
    model.off?.("msg:custom", heard);
  };
}
