// A Gaussian mixture of the plane that the reader shapes: no kernel is asked.
// It runs in Jupyter and Colab (anywidget) and on a page without a kernel (host.js).

import { make, player, slider, toggle } from "./controls.js";
import { arrows, axes, density, dots, easel, radius } from "./drawing.js";
import {
  FINE,
  COARSE,
  diffused,
  evaluate,
  grid,
  langevinStep,
  picture,
  reverseStep,
} from "./gaussians.js";
import { clamp, normals, short } from "./numbers.js";

const MOST = 6; // components
const REST = 1200; // ms at the end of a run that begins again
const STICK = 15; // px from the ellipse of two standard deviations to its knob

export function render({ model, el }) {
  const spec = model.get("spec"),
    calm = matchMedia("(prefers-reduced-motion: reduce)"),
    [x0, x1, y0, y1] = spec.extent,
    n = spec.particles;
  const back = spec.dynamics === "reverse",
    shaken = spec.dynamics === "langevin",
    span = Math.max(x1 - x0, y1 - y0);
  const root = make("div", "sde-x sde-mixture", el);
  const frameBox = make("div", `sde-frame${spec.aspect <= 1.45 ? " sde-beside" : ""}`, root);
  const stage = make("div", "sde-stage", frameBox),
    plot = make("div", "sde-plot", stage);
  make("div", "sde-area", plot).style.aspectRatio = spec.aspect;
  const canvas = make("canvas", "", plot),
    g = canvas.getContext("2d");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", spec.alt || spec.caption);
  const legend = make("div", "sde-legend", stage),
    note = make("p", "sde-note", stage),
    panel = make("div", "sde-panel", frameBox);

  // -- what the reader sets
  const changed = () => redraw(),
    still = () => false,
    copy = (list) => list.map((c) => ({ ...c, mean: [...c.mean], stds: [...c.stds] }));
  const least = Math.max(0.008 * span, shaken ? Math.sqrt(spec.eps) : 0),
    most = span / 2; // below √ε a step of Langevin dynamics overshoots
  const quantum = 10 ** Math.floor(Math.log10(span / 500)),
    neat = (v) => Number((Math.round(v / quantum) * quantum).toPrecision(12));
  let components = copy(spec.components),
    chosen = 0;
  const controls = Object.fromEntries(spec.controls.map((c) => [c.name, c]));
  const noise = slider(controls.sigma, panel, still, changed),
    eta = back ? toggle(controls.eta, panel, changed) : null;
  const weight = slider(controls.weight, panel, still, () => {
    const rest = components.reduce((sum, c, k) => sum + (k === chosen ? 0 : c.weight), 0),
      w = weight.state.value;
    components.forEach((c, k) => (c.weight = k === chosen ? w : (c.weight / rest) * (1 - w)));
    changed();
  });
  const weightBox = weight.input.closest(".sde-control"),
    actions = make("div", "sde-actions", panel);
  const play = spec.dynamics ? player(actions, () => (playing ? stop() : start())) : null;
  if (play) play.loop.hidden = !back; // Langevin dynamics has no end
  button(actions, "Reset", () => {
    stop();
    components = copy(spec.components);
    [noise, eta].forEach((c) => c?.set(c.c.start, true));
    choose(0);
    begin();
    changed();
  });
  const add = button(actions, "Add", () => {
    const spots = grid(
      [0.8 * x0 + 0.2 * x1, 0.2 * x0 + 0.8 * x1, 0.8 * y0 + 0.2 * y1, 0.2 * y0 + 0.8 * y1],
      9,
    ); // the emptiest of them
    const far = (i) =>
      Math.min(
        ...components.map(({ mean }) => Math.hypot(spots[i] - mean[0], spots[i + 1] - mean[1])),
      );
    let best = 0;
    for (let i = 2; i < spots.length; i += 2) if (far(i) > far(best) + 1e-9) best = i;
    const K = components.length,
      size = clamp(
        Math.sqrt(components.reduce((sum, c) => sum + c.stds[0] * c.stds[1], 0) / K),
        least,
        most,
      );
    components.forEach((c) => (c.weight *= K / (K + 1)));
    components.push({
      weight: 1 / (K + 1),
      mean: [neat(spots[best]), neat(spots[best + 1])],
      stds: [size, size],
      angle: 0,
    });
    choose(K);
    changed();
  });
  const remove = button(actions, "Remove", () => {
    components.splice(chosen, 1);
    const total = components.reduce((sum, c) => sum + c.weight, 0);
    components.forEach((c) => (c.weight /= total));
    choose(Math.min(chosen, components.length - 1));
    changed();
  });
  root.addEventListener("keydown", (e) => {
    // a button has its own space
    if (e.key !== " " || !play || e.target.type === "button") return;
    e.preventDefault();
    e.stopPropagation();
    if (!e.repeat) play.click();
  });
  const status = make("p", "sde-status", panel);
  status.setAttribute("role", "status");
  if (spec.caption) make("p", "sde-caption", frameBox, spec.caption);

  function button(parent, text, click) {
    const b = make("button", "", parent, text);
    b.type = "button";
    b.addEventListener("click", click);
    return b;
  }

  // -- handles: one at each mean, and two knobs at the axes of the component that is chosen
  const centres = Array.from({ length: MOST }, (_, k) =>
    handle("sde-handle", String(k + 1), () => k, {
      at: () => toPixel(components[k].mean),
      to: (p) => put(components[k].mean, fromPixel(p)),
      key: (e) => {
        const step = (e.shiftKey ? 0.1 : 0.02) * span,
          [dx, dy] = {
            ArrowRight: [1, 0],
            ArrowLeft: [-1, 0],
            ArrowUp: [0, 1],
            ArrowDown: [0, -1],
          }[e.key] ?? [0, 0];
        const grow = { "+": 1.1, "=": 1.1, "-": 1 / 1.1, "−": 1 / 1.1 }[e.key],
          c = components[k];
        if (dx || dy) put(c.mean, [c.mean[0] + dx * step, c.mean[1] + dy * step]);
        else if (grow) c.stds = c.stds.map((s) => clamp(s * grow, least, most));
        return dx || dy || grow;
      },
    }),
  );
  const knobs = [0, 1].map((i) => {
    let side = 1; // an axis has two ends: the one that is in the picture
    const turn = () => components[chosen].angle + (i * Math.PI) / 2;
    const end = (sign) => {
      const { mean, stds } = components[chosen],
        m = toPixel(mean),
        a = turn(),
        p = toPixel([
          mean[0] + 2 * sign * stds[i] * Math.cos(a),
          mean[1] + 2 * sign * stds[i] * Math.sin(a),
        ]);
      const length = Math.hypot(p[0] - m[0], p[1] - m[1]) || 1,
        f = 1 + STICK / length;
      return [m[0] + f * (p[0] - m[0]), m[1] + f * (p[1] - m[1])];
    };
    return handle("sde-handle sde-knob", "", () => chosen, {
      at: (held) => {
        const inside = (p) =>
          p[0] > box.x && p[0] < box.x + box.w && p[1] > box.y && p[1] < box.y + box.h;
        if (!held) side = inside(end(1)) || !inside(end(-1)) ? 1 : -1;
        const p = end(side);
        return [clamp(p[0], box.x, box.x + box.w), clamp(p[1], box.y, box.y + box.h)];
      },
      to: (p) => {
        const c = components[chosen],
          m = toPixel(c.mean),
          length = Math.hypot(p[0] - m[0], p[1] - m[1]),
          f = Math.max(1 - STICK / length, 0.01);
        if (!length) return;
        const d = fromPixel([m[0] + f * (p[0] - m[0]), m[1] + f * (p[1] - m[1])]).map(
          (v, j) => side * (v - c.mean[j]),
        );
        c.stds[i] = clamp(Math.hypot(...d) / 2, least, most);
        c.angle = Math.atan2(d[1], d[0]) - (i * Math.PI) / 2;
      },
      key: (e) => {
        const c = components[chosen],
          grow = {
            ArrowUp: 1.05,
            "+": 1.05,
            "=": 1.05,
            ArrowDown: 1 / 1.05,
            "-": 1 / 1.05,
            "−": 1 / 1.05,
          }[e.key],
          turned = { ArrowLeft: 5, ArrowRight: -5 }[e.key];
        if (grow) c.stds[i] = clamp(c.stds[i] * grow, least, most);
        if (turned) c.angle += (turned * Math.PI) / 180;
        return grow || turned;
      },
    });
  });
  function handle(kind, text, owner, { at, to, key }) {
    const node = make("div", kind, plot, text);
    node.tabIndex = 0;
    node.setAttribute("role", "slider");
    let grip = null;
    node.addEventListener("focus", () => choose(owner()));
    node.addEventListener("pointerdown", (e) => {
      if (!e.isPrimary || e.button) return;
      e.preventDefault(); // no selection of text
      node.focus({ preventScroll: true });
      node.setPointerCapture(e.pointerId);
      const p = at(),
        r = plot.getBoundingClientRect();
      grip = [e.clientX - r.left - p[0], e.clientY - r.top - p[1]];
    });
    node.addEventListener("pointermove", (e) => {
      if (!grip) return;
      const r = plot.getBoundingClientRect();
      to([e.clientX - r.left - grip[0], e.clientY - r.top - grip[1]]);
      changed();
    });
    for (const end of ["pointerup", "pointercancel"])
      node.addEventListener(end, () => {
        grip = null;
        redraw();
      });
    node.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || !key(e)) return;
      e.preventDefault();
      e.stopPropagation();
      changed();
    });
    return { node, at: () => at(grip !== null) };
  }
  let box = { x: 38, y: 6, w: 1, h: 1 };
  const toPixel = ([x, y]) => [
    box.x + ((x - x0) / (x1 - x0)) * (box.w - 1),
    box.y + ((y1 - y) / (y1 - y0)) * (box.h - 1),
  ];
  const fromPixel = ([p, q]) => [
    x0 + ((p - box.x) / (box.w - 1)) * (x1 - x0),
    y1 - ((q - box.y) / (box.h - 1)) * (y1 - y0),
  ];
  function put(mean, [x, y]) {
    mean[0] = clamp(neat(x), x0, x1);
    mean[1] = clamp(neat(y), y0, y1);
  }
  function choose(k) {
    chosen = k;
    redraw();
  }
  function place() {
    // handles and controls, as the components are
    const K = components.length,
      total = components.reduce((sum, c) => sum + c.weight, 0),
      { stds, angle } = components[chosen];
    const at = (mean) => `(${short(mean[0], 3)}, ${short(mean[1], 3)})`,
      degrees = (i) => (((Math.round((angle * 180) / Math.PI) + 90 * i) % 180) + 180) % 180;
    centres.forEach(({ node, at: where }, k) => {
      node.hidden = k >= K;
      node.toggleAttribute("data-chosen", k === chosen);
      if (k < K)
        show(
          node,
          where(),
          `component ${k + 1}`,
          components[k].mean[0],
          x0,
          x1,
          `at ${at(components[k].mean)}, standard deviations ${components[k].stds.map((s) => short(s, 3)).join(" and ")}, weight ${short(components[k].weight / total, 2)}`,
        );
    });
    knobs.forEach(({ node, at: where }, i) =>
      show(
        node,
        where(),
        `spread of component ${chosen + 1} along axis ${i + 1}`,
        stds[i],
        least,
        most,
        `standard deviation ${short(stds[i], 3)} at ${degrees(i)} degrees`,
      ),
    );
    weightBox.hidden = K === 1;
    weightBox.querySelector("label").textContent = `weight of component ${chosen + 1}`;
    if (Math.abs(weight.state.value - components[chosen].weight / total) > 0.005)
      weight.set((100 * components[chosen].weight) / total - 1, true);
    add.disabled = K === MOST;
    remove.disabled = K === 1;
    add.setAttribute("aria-label", "Add a component");
    remove.setAttribute("aria-label", `Remove component ${chosen + 1}`);
  }
  function show(node, [x, y], label, value, low, high, words) {
    node.style.left = `${x}px`;
    node.style.top = `${y}px`;
    for (const [name, v] of Object.entries({
      label,
      valuenow: Number(value.toPrecision(4)),
      valuemin: Math.min(low, value),
      valuemax: Math.max(high, value),
      valuetext: words,
    }))
      node.setAttribute(`aria-${name}`, v);
  }

  // -- particles: seeded, so that Reset brings back the first picture
  const fine = grid(spec.extent, FINE),
    coarse = grid(spec.extent, COARSE),
    force = new Float64Array(2 * n);
  const sigmas = [...controls.sigma.keys].reverse(); // of the way back, from σ_max down
  let draw,
    x,
    steps,
    kept,
    path = null;
  function begin() {
    draw = normals(spec.seed);
    steps = 0;
    path = null;
    x = Float64Array.from(
      { length: 2 * n },
      (_, i) => spec.start * draw() + (back ? 0 : i % 2 ? (y0 + y1) / 2 : (x0 + x1) / 2),
    );
    if (back) kept ??= Float64Array.from({ length: 2 * n * (sigmas.length - 1) }, draw); // the same noise for every mixture
  }
  function journey() {
    // every state from σ_max to σ_min of the mixture as it is
    const e = eta.index(),
      key = JSON.stringify([e, components]);
    if (path?.key === key) return path.states;
    const states = [x],
      z = () => kept[j++];
    let j = 0;
    for (let k = 0; k + 1 < sigmas.length; k++) {
      const next = states[k].slice();
      reverseStep(components, next, n, sigmas[k], sigmas[k + 1], e, z, force);
      states.push(next);
    }
    path = { key, states };
    return states;
  }
  function walk(many) {
    const rows = diffused(components, noise.state.value);
    for (let k = 0; k < many; k++) langevinStep(rows, x, n, spec.eps, draw, force);
    steps += many;
  }

  // -- time
  let playing = 0,
    theme,
    frame = null,
    sight = null;
  function start() {
    if (back && noise.index() === 0) noise.set(noise.top, true);
    const beat = calm.matches ? 600 : 0,
      pace = back
        ? calm.matches
          ? noise.top / 10
          : noise.top / 5000
        : calm.matches
          ? 20
          : 120 / 1000; // a beat, or a ms
    let before = performance.now(),
      owed = 0;
    const tick = (now) => {
      const gap = now - before;
      if (back && noise.index() === 0) {
        // it goes round: first it rests
        if (!play.wound()) return stop();
        if (gap >= REST) {
          before = now;
          noise.set(noise.top, true);
          changed();
        }
      } else if (gap >= beat) {
        before = now;
        owed += pace * (beat ? 1 : Math.min(gap, 50));
        const whole = Math.floor(owed);
        owed -= whole;
        if (back) noise.set(Math.max(0, noise.index() - whole), true);
        else walk(whole);
        changed();
        if (back && noise.index() === 0 && !play.wound()) return stop();
      }
      playing = requestAnimationFrame(tick);
    };
    playing = requestAnimationFrame(tick);
    play.show(true);
  }
  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    play?.show(false);
  }

  // -- picture
  function redraw() {
    sight?.redraw();
  }
  function fail(error) {
    console.error(error);
    status.textContent = `this picture could not be drawn: ${error.message}`;
    status.dataset.kind = "error";
    root.toggleAttribute("data-error", true);
  }
  function paintAll() {
    const W = plot.clientWidth,
      H = plot.clientHeight,
      ratio = window.devicePixelRatio || 1;
    if (!W || !H) return; // hidden: the observer calls again
    const width = Math.round(W * ratio),
      height = Math.round(H * ratio),
      sigma = noise.state.value,
      key = JSON.stringify([components, sigma]);
    if (canvas.width !== width || canvas.height !== height)
      Object.assign(canvas, { width, height });
    box = { x: 38, y: 6, w: W - 46, h: H - 46 };
    const rows = diffused(components, sigma);
    if (frame?.key !== key)
      frame = Object.assign(picture(rows, spec.extent, fine, coarse), { key });
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, width, height);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.save();
    g.beginPath();
    g.rect(box.x, box.y, box.w, box.h);
    g.clip();
    density(g, box, frame, theme, false);
    arrows(g, box, frame, theme);
    const now = spec.dynamics ? cloud() : null;
    rings();
    g.restore();
    axes(g, box, frame.meta, theme);
    place();
    explain(rows, now);
    root.dataset.shown = JSON.stringify({ sigma, components, steps });
    root.dataset.ready = "";
  }
  function cloud() {
    // the particles, and on the way back their last steps
    let now = x;
    if (back) {
      const states = journey(),
        k = sigmas.indexOf(noise.state.value);
      now = states[k];
      g.strokeStyle = theme.dot;
      g.lineWidth = 1.2;
      g.globalAlpha = 0.45;
      g.lineCap = g.lineJoin = "round";
      g.beginPath();
      for (let i = 0; i < 2 * n; i += 2)
        for (let j = Math.max(0, k - 8); j <= k; j++) {
          const [p, q] = toPixel([states[j][i], states[j][i + 1]]);
          if (j === Math.max(0, k - 8)) g.moveTo(p, q);
          else g.lineTo(p, q);
        }
      g.stroke();
      g.globalAlpha = 1;
    }
    const xy = [];
    for (let i = 0; i < 2 * n; i += 2) xy.push(toPixel([now[i], now[i + 1]]));
    dots(g, xy, radius(n), theme.dot, theme);
    return now;
  }
  function rings() {
    // two standard deviations of each component, without the noise; sticks to the knobs
    const a = (box.w - 1) / (x1 - x0),
      b = (box.h - 1) / (y1 - y0);
    components.forEach(({ mean, stds, angle }, k) => {
      const m = toPixel(mean),
        mine = k === chosen;
      g.beginPath();
      for (let i = 0; i <= 72; i++) {
        const t = (i * Math.PI) / 36,
          u = 2 * stds[0] * Math.cos(t),
          v = 2 * stds[1] * Math.sin(t),
          c = Math.cos(angle),
          s = Math.sin(angle);
        g.lineTo(m[0] + a * (c * u - s * v), m[1] - b * (s * u + c * v));
      }
      if (mine)
        for (const knob of knobs) {
          g.moveTo(...m);
          g.lineTo(...knob.at());
        }
      g.setLineDash(mine ? [] : [4, 4]);
      g.strokeStyle = theme.edge;
      g.lineWidth = 3.5;
      g.stroke();
      g.strokeStyle = mine ? theme.groups[0] : theme.ink;
      g.lineWidth = mine ? 1.8 : 1.2;
      g.stroke();
    });
    g.setLineDash([]);
  }
  const percent = (list) => `${list.map((v) => Math.round(100 * v)).join(" : ")} %`;
  function explain(rows, now) {
    // everything about the picture that is text
    const K = components.length,
      total = components.reduce((sum, c) => sum + c.weight, 0),
      weights =
        K > 1 ? `weights ${percent(components.map((c) => c.weight / total))}` : "one component";
    let seen = "";
    if (now && K > 1) {
      // under p_σ the mean of r_k is w_k
      const r = new Float64Array(n * K),
        mean = Array(K).fill(0);
      evaluate(rows, now, n, null, null, r);
      r.forEach((v, i) => (mean[i % K] += v / n));
      seen = `particles ${percent(mean)}`;
    }
    if (shaken) seen = `${seen || "particles"} after ${steps} steps`;
    const said = [seen, weights].filter(Boolean),
      text = said.join(", ");
    if (note.dataset.text !== text) {
      note.dataset.text = text;
      note.replaceChildren(...said.map((part) => make("span", "", null, part)));
    }
    const words = components
      .map((c, k) => `component ${k + 1} at (${short(c.mean[0])}, ${short(c.mean[1])})`)
      .join(", ");
    const label = [
      spec.alt || spec.caption,
      `noise σ = ${noise.say(noise.state.value)}`,
      words,
      text,
    ]
      .filter(Boolean)
      .join(". ");
    if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
    const { range, longest } = frame.meta,
      key = [range[1], longest, theme.ink].join();
    if (legend.dataset.key === key) return;
    legend.dataset.key = key;
    legend.replaceChildren();
    const item = make("span", "sde-scale", legend, "density");
    make("span", "", item, "0");
    make("span", "sde-bar", item).style.background =
      `linear-gradient(90deg, ${theme.ramp.join(", ")})`;
    make("span", "", item, short(range[1]));
    make("span", "", legend, `longest arrow ${short(longest)}, drawn length ∝ √`);
    make("span", "", legend, "rings: 2 std");
    if (spec.dynamics) {
      const part = make("span", "", legend);
      make("span", "sde-dot", part).style.background = theme.dot;
      part.append(`${n} particles`);
    }
  }

  // -- surroundings
  begin();
  status.textContent =
    "Drag a number to move its component, a knob to stretch or turn it. By keyboard: arrow keys, + and −.";
  sight = easel(root, plot, {
    draw: paintAll,
    colour: (now) => (theme = now),
    failed: (error) => {
      stop();
      fail(error);
    },
  });
  const view = new IntersectionObserver((list) => {
    if (playing && !list[list.length - 1].isIntersecting) stop();
  }); // nobody sees it
  view.observe(root);
  return () => {
    stop();
    sight.close();
    view.disconnect();
  };
}
