// Garments drawn on the reader's own machine with the small denoiser, and the page that shows them.

import { fresh, make, slider, toggle } from "./controls.js";
import { easel, sheet } from "./drawing.js";
import { PIXELS, adapter, network } from "./network.js";
import { clamp, normals, short } from "./numbers.js";
import { PROCESSES } from "./processes.js";
import { SOLVERS, sample } from "./solvers.js";

const N = 16;
const DEVICES = { webgpu: "WebGPU", wasm: "WebAssembly" };

export function render({ model, el }) {
  const spec = model.get("spec"),
    root = make("div", "sde-x sde-images sde-sampler", el);
  const frameBox = make("div", "sde-frame sde-beside", root),
    stage = make("div", "sde-stage", frameBox);
  const panel = make("div", "sde-panel", frameBox),
    plot = make("div", "sde-plot", stage);
  make("div", "sde-area", plot).style.aspectRatio = 1;
  const canvas = make("canvas", "", plot),
    g = canvas.getContext("2d"),
    note = make("p", "sde-note", stage);
  canvas.setAttribute("role", "img");
  const actions = make("div", "sde-actions", stage),
    status = make("p", "sde-status", stage),
    film = make("div", "sde-film", stage);

  // -- what the reader sets
  const kinds = {
    list: choice,
    text: field,
    slider: (c) => slider(c, panel, () => false, redraw),
    switch: (c) => toggle(c, panel, c.name === "sde" ? other : redraw),
  };
  const {
    solver: method,
    sde: process,
    sigma_max: top,
    evaluations: budget,
    grid: spacing,
    label,
    seed,
  } = Object.fromEntries(spec.controls.map((c) => [c.name, kinds[c.kind](c)]));
  status.setAttribute("role", "status");
  if (spec.caption) make("p", "sde-caption", frameBox, spec.caption);
  function other() {
    top.input.closest(".sde-control").hidden = process.index() > 0;
  }
  function named(node, c) {
    // a label for a control that the browser brings
    const box = make("div", "sde-control", panel),
      words = make("label", "", box, c.label);
    words.htmlFor = node.id = fresh();
    node.dataset.name = c.name;
    box.append(node);
    return node;
  }
  function choice(c) {
    const select = make("select");
    for (const [title, options] of c.groups) {
      const group = title ? make("optgroup", "", select) : select;
      if (title) group.label = title;
      for (const [value, words] of options) make("option", "", group, words).value = value;
    }
    select.value = c.start;
    return named(select, c);
  }
  function field(c) {
    const input = Object.assign(make("input"), {
      type: "text",
      value: c.start,
      inputMode: "numeric",
      autocomplete: "off",
    });
    input.addEventListener("keydown", (e) => e.key === "Enter" && start());
    return named(input, c);
  }

  const draw = button("", start),
    halt = button("Stop", () => running?.abort()),
    again = button("New seed", () => {
      seed.value = String(Math.floor(1e6 * Math.random()));
      if (team && !running) start();
    });
  function button(text, click) {
    const b = make("button", "", actions, text);
    b.type = "button";
    b.addEventListener("click", click);
    return b;
  }

  // -- the states of the last run, and what is seen of them
  let states = [],
    plan = null,
    at = 0;
  const show = toggle(spec.show, film, redraw),
    reel = make("div", "sde-reel", film);
  function cut() {
    reel.replaceChildren();
    if (states.length < 2) return;
    const steps = {
      name: "state",
      label: "step",
      keys: states.map((_, k) => k),
      start: at,
      integer: true,
    };
    const frames = slider(
      steps,
      reel,
      () => false,
      () => {
        at = frames.index();
        redraw();
      },
    );
  }
  function start() {
    if (running) return;
    const text = seed.value.trim(),
      value = /^\d+$/.test(text) ? Number(text) : NaN,
      good = Number.isSafeInteger(value);
    seed.removeAttribute("aria-invalid");
    if (!good) {
      seed.setAttribute("aria-invalid", "true");
      seed.focus();
      return say(
        `seed = ${text || "(nothing)"}: give a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, or press New seed`,
        "error",
      );
    }
    const name = method.value,
      evaluations = budget.state.value,
      steps = SOLVERS[name].steps(evaluations);
    run({
      name,
      process: process.state.value,
      sde: PROCESSES[process.state.value](top.state.value),
      grid: spacing.state.value,
      evaluations,
      steps,
      planned: steps * SOLVERS[name].cost + 1,
      seed: value,
      labels: Int32Array.from({ length: N }, (_, k) =>
        label.value === "turn" ? k % 10 : Number(label.value),
      ),
    });
  }

  // -- time
  const drawn = Uint8Array.from(atob(spec.pixels), (c) => c.charCodeAt(0)); // when the book was built
  let running = null,
    team = null,
    device = "wasm",
    gone = false,
    theme = null,
    sight = null;
  async function run(wanted) {
    const { signal } = (running = new AbortController());
    buttons();
    try {
      team ??= await load(signal);
      signal.throwIfAborted();
      plan = wanted;
      states = [];
      at = 0;
      cut();
      say(`Drawing on ${DEVICES[team.device]} …`);
      const z = normals(plan.seed),
        began = performance.now(),
        draw = () => Float64Array.from({ length: N * PIXELS }, z);
      for await (const state of sample({
        ...plan,
        draw,
        denoiser: (y, sigma) => team.denoise(y, sigma, plan.labels, signal),
      })) {
        states.push({ ...state, seconds: (performance.now() - began) / 1000 });
        at = states.length - 1;
        redraw();
        signal.throwIfAborted();
      }
      const last = states[states.length - 1];
      say(`Done: ${last.evaluations} evaluations in ${last.seconds.toFixed(2)} s on ${where()}.`);
    } catch (error) {
      const drawing = plan === wanted,
        what = team ? "The network stopped" : "The network could not be loaded";
      if (!signal.aborted)
        say(
          `${what}: ${error.message}. Look whether the site is still in reach, then press Draw again.`,
          "error",
        );
      else
        say(
          drawing
            ? `Stopped after ${states.at(-1)?.evaluations ?? 0} of ${plan.planned} evaluations.`
            : "Stopped.",
        );
      if (!signal.aborted || team?.silent()) {
        // the next Draw starts new workers
        team?.close();
        team = null;
      }
    }
    running = null;
    if (gone) return team?.close();
    cut();
    buttons();
    redraw();
  }
  const where = () =>
    team.device === "webgpu"
      ? "WebGPU"
      : `WebAssembly, ${team.workers} worker${team.workers > 1 ? "s" : ""}`;
  async function load(signal) {
    const attempt = async (device) => {
      const own = new AbortController(),
        megabytes = (n) => Math.round(n / 1e6); // one file that fails ends the others
      let got = 0;
      const progress = (more) =>
        say(
          more === undefined
            ? `Starting the network on ${DEVICES[device]} …`
            : `Fetching the network: ${megabytes((got += more))} of ${megabytes(spec.runtimes[device].bytes)} MB`,
        );
      signal.addEventListener("abort", () => own.abort());
      progress(0);
      try {
        return await network(spec, device, own.signal, progress);
      } finally {
        own.abort();
      }
    };
    if (device === "webgpu")
      try {
        return await attempt("webgpu");
      } catch {
        signal.throwIfAborted();
        device = "wasm";
      }
    return attempt("wasm");
  }
  function say(text, kind = "") {
    if (status.textContent !== text) status.textContent = text;
    status.dataset.kind = kind;
    root.toggleAttribute("data-error", kind === "error");
  }
  function buttons() {
    draw.textContent = `Draw ${N} garments${team ? "" : ` (fetches ${Math.round(spec.runtimes[device].bytes / 1e6)} MB)`}`;
    draw.disabled = !!running;
    halt.disabled = !running;
    again.disabled = !!running;
    root.toggleAttribute("data-busy", !!running);
  }

  // -- picture
  function redraw() {
    sight?.redraw();
  }
  function grey({ t, x, guess }, sde, denoised) {
    // the state with the contrast of the data: m + σ_d (y − m)/√(σ² + σ_d²), y = x/scale
    const { mean, std } = spec,
      c = std / Math.hypot(sde.ratio(t), std),
      [scale] = sde.marginal(t),
      out = new Uint8Array(x.length);
    for (let i = 0; i < x.length; i++)
      out[i] = Math.round(
        255 * clamp(denoised ? guess[i] : mean + c * (x[i] / scale - mean), 0, 1),
      );
    return out;
  }
  function paintAll() {
    const W = plot.clientWidth,
      H = plot.clientHeight,
      ratio = window.devicePixelRatio || 1;
    if (!W || !H) return; // hidden: the observer calls again
    const width = Math.round(W * ratio),
      height = Math.round(H * ratio),
      state = states[at],
      denoised = show.index() === 1;
    if (canvas.width !== width || canvas.height !== height)
      Object.assign(canvas, { width, height });
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, width, height);
    const pixels = { data: state ? grey(state, plan.sde, denoised) : drawn, shape: [N, 28, 28] };
    sheet(
      g,
      width,
      height,
      { meta: { columns: 4, arrays: { pixels: true } }, decoded: { pixels } },
      theme,
      ratio,
    );
    const words = state
      ? `step ${at} of ${plan.steps}, noise σ = ${short(plan.sde.ratio(state.t))}`
      : "";
    const text = state
      ? `${words}, ${state.evaluations} of ${plan.planned} evaluations, ${state.seconds.toFixed(2)} s`
      : spec.note;
    if (note.textContent !== text) note.textContent = text;
    const what = state
      ? `${N} pictures in the making: ${denoised ? "the network's guess" : "the noisy state"}`
      : spec.alt;
    canvas.setAttribute(
      "aria-label",
      state ? `${what}. ${plan.name}, ${plan.process}, ${words}` : what,
    );
    const { evaluations, seconds } = state ?? {},
      { steps, planned, seed } = plan ?? {};
    const { device, workers } = team ?? {};
    root.dataset.shown = JSON.stringify({
      at,
      denoised,
      steps,
      planned,
      evaluations,
      seconds,
      seed,
      device,
      workers,
    });
    root.dataset.ready = "";
  }

  // -- surroundings
  buttons();
  if (location.protocol === "file:") {
    draw.disabled = again.disabled = true;
    say(
      "You opened this page as a file, and from files a browser loads no network. In the folder of the site run “python -m http.server”, " +
        "then open http://localhost:8000.",
    );
  } else {
    say(spec.status);
    adapter().then((found) => {
      if (found && !team && !running) {
        device = "webgpu";
        buttons();
      }
    });
  }
  sight = easel(root, plot, {
    draw: paintAll,
    colour: (now) => (theme = now),
    failed: (error) => say(`This picture could not be drawn: ${error.message}`, "error"),
  });
  return () => {
    gone = true;
    running?.abort();
    team?.close();
    sight.close();
  };
}
