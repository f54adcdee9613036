// The explorer: draws baked frames, and asks a kernel, where there is one, for the values between them.
// It runs in Jupyter and Colab (anywidget) and on a page without a kernel (host.js).

import { fresh, make, paint, slider, toggle } from "./controls.js";
import { arrows, axes, colours, density, easel, points, sheet, trails } from "./drawing.js";
import { unpack } from "./frames.js";
import { clamp, short } from "./numbers.js";

const PATIENCE = 3000; // ms without a word from the kernel

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
  const panel = make("div", "sde-panel", frameBox);
  let kernel = spec.live && typeof model.send === "function"; // believed until 3 s pass without an answer
  const controls = spec.controls.map((c) =>
    c.kind === "slider"
      ? slider(c, panel, () => kernel, moved)
      : c.kind === "paint"
        ? paint(c, panel, () => kernel, moved)
        : toggle(c, panel, moved),
  );
  const scrub = view === "particles" ? timeBar() : null;
  const actions = make("div", "sde-actions", panel),
    status = make("p", "sde-status", panel);
  status.setAttribute("role", "status");
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

  const sweep = controls.find((c) => c.c.kind === "slider");
  const play = scrub || sweep ? button(actions, "") : null;
  play?.addEventListener("click", () => (playing ? stop() : start()));
  root.addEventListener("keydown", (e) => {
    // a button has its own space
    if (e.key !== " " || !play || e.target.type !== "range") return;
    e.preventDefault();
    e.stopPropagation();
    if (!e.repeat) play.click();
  });
  button(actions, "Reset").addEventListener("click", () => {
    stop();
    controls.forEach((c) => c.set(c.c.start, true));
    phase = 1;
    moved("");
  });
  icon();

  function button(parent, text) {
    const b = make("button", "", parent, text);
    b.type = "button";
    return b;
  }
  function icon() {
    if (play)
      play.innerHTML = playing
        ? '<svg viewBox="0 0 10 10" aria-hidden="true"><path d="M1 0h3v10H1zM6 0h3v10H6z"/></svg>Pause'
        : '<svg viewBox="0 0 10 10" aria-hidden="true"><path d="M1 0l9 5-9 5z"/></svg>Play';
  }

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
      tell(
        snapped
          ? `shown: ${snapped}, the nearest stored value${spec.live ? "; run the chapter to compute others" : ""}`
          : "",
      );
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
    tell(
      `no kernel answers; shown: ${near}, the nearest stored value; run the chapter to compute others`,
    );
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
  function start() {
    const overTime = scrub && length() > 1,
      T = length(),
      n = sweep ? sweep.top + 1 : 0;
    if (!overTime && !sweep) return;
    if (overTime && phase >= 1) phase = 0;
    if (!overTime && sweep.index() >= sweep.top) sweep.set(0);
    const beat = calm.matches ? 600 : overTime ? 0 : clamp(4000 / n, 90, 400),
      span = clamp(T * 60, 2500, 6000);
    let before = performance.now();
    const tick = (now) => {
      const gap = now - before;
      if (gap >= beat) {
        before = now;
        if (overTime) {
          phase = Math.min(1, phase + (calm.matches ? 0.1 : gap / span));
          redraw();
          if (phase >= 1) return stop();
        } else {
          sweep.set(sweep.index() + 1);
          if (sweep.index() >= sweep.top) return stop();
        }
      }
      playing = requestAnimationFrame(tick);
    };
    playing = requestAnimationFrame(tick);
    icon();
  }
  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    icon();
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
        }
      })
      .catch(fail);
  load();
  return () => {
    gone = true;
    stop();
    clearTimeout(timer);
    sight.close();
    model.off?.("msg:custom", heard);
  };
}
