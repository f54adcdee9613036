// Garments drawn on the reader's own machine: the processes, time grids and solvers of sdelib in float64, and the page that runs them
// with the small denoiser. The network itself runs in workers (book/_static/denoise.worker.js). common.js stands before it.

const SIGMA_MIN = 0.002,
  SNR = 0.16; // the smallest noise of training (denoiser.py); the correctors' signal-to-noise ratio (sampling.py)

// ---- sdes.py: dx = rate(t) x dt + g(t) dw from data at t = 0 to noise at t = T = 1;  x_t | x_0 ~ N(scale·x_0, std²·I) -----------

const gaussian = (own) => ({
  ...own,
  ratio(t) {
    const [scale, std] = own.marginal(t);
    return std / scale;
  },
  transition(s, t) {
    // (r, v) of x_t | x_s ~ N(r·x_s, v·I)
    const [a, std] = own.marginal(s),
      [b, stdNext] = own.marginal(t),
      r = b / a;
    return [r, stdNext ** 2 - r ** 2 * std ** 2];
  },
  get priorStd() {
    return own.marginal(1)[1];
  },
});

function VE(sigmaMin, sigmaMax) {
  // std² = σ(t)² − σ_min²,  σ(t) = σ_min (σ_max/σ_min)ᵗ
  const L = Math.log(sigmaMax / sigmaMin);
  return gaussian({
    rate: () => 0,
    diffusion: (t) => sigmaMin * Math.exp(L * t) * Math.sqrt(2 * L),
    marginal: (t) => [1, sigmaMin * Math.sqrt(Math.expm1(2 * L * t))],
    time: (ratio) => Math.log1p((ratio / sigmaMin) ** 2) / (2 * L),
  });
}

function power(sigma) {
  // dx = σᵗ dw
  const root = Math.sqrt(2 * Math.log(sigma));
  return VE(1 / root, sigma / root);
}

function VP(betaMin = 0.1, betaMax = 20) {
  // β(t) = β_min + (β_max − β_min) t,  B = ∫₀ᵗ β
  const beta = (t) => betaMin + (betaMax - betaMin) * t,
    B = (t) => betaMin * t + ((betaMax - betaMin) * t ** 2) / 2;
  const when = (b) => (2 * b) / (betaMin + Math.sqrt(betaMin ** 2 + 2 * (betaMax - betaMin) * b)); // B(t) = b
  return gaussian({
    beta,
    B,
    when,
    rate: (t) => -beta(t) / 2,
    diffusion: (t) => Math.sqrt(beta(t)),
    marginal: (t) => [Math.exp(-B(t) / 2), Math.sqrt(-Math.expm1(-B(t)))],
    time: (ratio) => when(Math.log1p(ratio ** 2)),
  });
}

function subVP(betaMin = 0.1, betaMax = 20) {
  const { beta, B, when, rate } = VP(betaMin, betaMax);
  return gaussian({
    rate,
    diffusion: (t) => Math.sqrt(beta(t) * -Math.expm1(-2 * B(t))),
    marginal: (t) => [Math.exp(-B(t) / 2), -Math.expm1(-B(t))],
    time: (ratio) => when(2 * Math.asinh(ratio / 2)),
  });
}

// ---- solvers.py: time grids ------------------------------------------------------------------------

const uniform = (start, stop, steps) =>
  Float64Array.from({ length: steps + 1 }, (_, k) => start + ((stop - start) * k) / steps);

function timesOf(sde, into, back, start, stop, steps) {
  // equal steps of into(std/scale)
  const times = uniform(into(sde.ratio(start)), into(sde.ratio(stop)), steps).map((u) =>
    sde.time(back(u)),
  );
  times[0] = start;
  times[steps] = stop;
  return times;
}

const GRIDS = {
  // name → times(sde, start, stop, steps)
  uniform: (sde, start, stop, steps) => uniform(start, stop, steps),
  geometric: (...args) => timesOf(args[0], Math.log, Math.exp, ...args.slice(1)),
  karras: (...args) =>
    timesOf(
      args[0],
      (a) => a ** (1 / 7),
      (u) => u ** 7,
      ...args.slice(1),
    ),
};

const firstTime = (sde) => sde.time(1.0001 * SIGMA_MIN);

// ---- solvers.py, predictor_corrector.py, few_steps.py: a step takes x from t to t + dt, dt < 0; dw = √|dt| z ---------------------

function sum(...terms) {
  // Σ a·x over the pairs [a, x] of a number and an array
  const out = new Float64Array(terms[0][1].length);
  for (const [a, x] of terms) for (let i = 0; i < out.length; i++) out[i] += a * x[i];
  return out;
}

const reverse = (forward, score, eta) => ({
  forward,
  score,
  eta, // dx = [f − ½(1 + η²) g² s] dt + η g dw̄
  drift: async (x, t) =>
    sum(
      [forward.rate(t), x],
      [(-(1 + eta ** 2) / 2) * forward.diffusion(t) ** 2, await score(x, t)],
    ),
  diffusion: (t) => eta * forward.diffusion(t),
});

async function denoise(forward, score, x, t) {
  // E[x_0 | x_t] = (x + std² s)/scale
  const [scale, std] = forward.marginal(t);
  return sum([1 / scale, x], [std ** 2 / scale, await score(x, t)]);
}

async function eulerMaruyama(sde, x, t, dt, dw) {
  // x + f dt + g dw
  return sum([1, x], [dt, await sde.drift(x, t)], [sde.diffusion(t), dw]);
}

async function heun(sde, x, t, dt, dw) {
  // x̂ = x + f dt + g dw;  x + ½ [f + f(x̂, t+dt)] dt + ½ [g + g(t+dt)] dw
  const f = await sde.drift(x, t),
    g = sde.diffusion(t),
    ahead = sum([1, x], [dt, f], [g, dw]);
  return sum(
    [1, x],
    [dt / 2, f],
    [dt / 2, await sde.drift(ahead, t + dt)],
    [(g + sde.diffusion(t + dt)) / 2, dw],
  );
}

async function sra(sde, x, t, dt, dw, area) {
  // H = x + ¾ f dt + 3/2 g(t+¼dt) J;  x + [⅓ f + ⅔ f(H, t+¾dt)] dt + g' dw + [g − g'] J
  const f = await sde.drift(x, t),
    g = sde.diffusion(t),
    next = sde.diffusion(t + dt),
    J = sum([1 / dt, area]);
  const H = sum([1, x], [0.75 * dt, f], [1.5 * sde.diffusion(t + 0.25 * dt), J]);
  return sum(
    [1, x],
    [dt / 3, f],
    [(2 * dt) / 3, await sde.drift(H, t + 0.75 * dt)],
    [next, dw],
    [g - next, J],
  );
}
sra.needsArea = true;

async function exponential(sde, x, t, dt, dw) {
  // [x + ½(1 + η²) v s + η √v z]/r
  const [r, v] = sde.forward.transition(t + dt, t),
    { eta } = sde;
  return sum(
    [1 / r, x],
    [((1 + eta ** 2) / 2) * (v / r), await sde.score(x, t)],
    [(eta * Math.sqrt(v / -dt)) / r, dw],
  );
}

async function reverseDiffusion(sde, x, t, dt, dw) {
  // (2 − r) x + v s + √v z
  const [r, v] = sde.forward.transition(t + dt, t);
  return sum([2 - r, x], [v, await sde.score(x, t)], [Math.sqrt(v / -dt), dw]);
}

async function ancestral(sde, x, t, dt, dw) {
  // (x + v s)/r + (std'/std) √v z
  const [r, v] = sde.forward.transition(t + dt, t),
    share = sde.forward.marginal(t + dt)[1] / sde.forward.marginal(t)[1];
  return sum([1 / r, x], [v / r, await sde.score(x, t)], [share * Math.sqrt(v / -dt), dw]);
}

const stay = async (sde, x) => x;

const predictorCorrector = (predictor, draw) => async (sde, x, t, dt, dw) => {
  // then x + ε s + √(2ε) z,  ε = 2 snr²/mean(s²)
  const y = await predictor(sde, x, t, dt, dw),
    s = await sde.score(y, t + dt);
  const eps = (2 * SNR ** 2 * s.length) / s.reduce((total, v) => total + v * v, 0);
  return sum([1, y], [eps, s], [Math.sqrt(2 * eps), draw()]);
};

// With y = x/scale:  a y + (1 − a) D̃ + r' √(1 − e^(−2η²h)) z,  a = e^(−(1+η²)h),  h = ln(r/r'),  D̃ = D + h/(2h₋) (D − D₋)
function dpmSolver(order) {
  let last = null; // h₋ and D₋ of the step before
  return async (sde, x, t, dt, dw) => {
    const { forward, score, eta } = sde,
      [scale] = forward.marginal(t),
      [next] = forward.marginal(t + dt),
      ratio = forward.ratio(t + dt);
    const h = Math.log(forward.ratio(t) / ratio),
      d = await denoise(forward, score, x, t),
      c = order === 2 && last ? h / (2 * last.h) : 0;
    const ahead = c ? sum([1 + c, d], [-c, last.d]) : d,
      rate = 1 + eta ** 2;
    last = { h, d };
    return sum(
      [(Math.exp(-rate * h) * next) / scale, x],
      [-Math.expm1(-rate * h) * next, ahead],
      [next * ratio * Math.sqrt(-Math.expm1(-2 * eta ** 2 * h) / -dt), dw],
    );
  };
}

function edmHeun(churn, steps, low, high) {
  // ŷ = y + √(r̂² − r²) z,  r̂ = (1 + γ) r;  then Heun's step of dy/dr = (y − D)/r from r̂ to r'
  return async ({ forward, score }, x, t, dt, dw) => {
    const r = forward.ratio(t),
      next = forward.ratio(t + dt),
      gamma = low <= r && r <= high ? Math.min(churn / steps, Math.SQRT2 - 1) : 0;
    const up = Math.min((1 + gamma) * r, forward.ratio(1)),
      now = up > r ? forward.time(up) : t;
    const slope = async (y, t, r) => {
      // dy/dr = −r·scale·s
      const [scale] = forward.marginal(t);
      return sum([-r * scale, await score(sum([scale, y]), t)]);
    };
    const y = sum(
      [1 / forward.marginal(t)[0], x],
      [Math.sqrt(Math.max(up ** 2 - r ** 2, 0) / -dt), dw],
    );
    const first = await slope(y, now, up),
      second = await slope(sum([1, y], [next - up, first]), t + dt, next);
    const scale = forward.marginal(t + dt)[0];
    return sum([scale, y], [(scale * (next - up)) / 2, first], [(scale * (next - up)) / 2, second]);
  };
}

// ---- sampling.py -----------------------------------------------------------------------------------

const solver = (eta, cost, make) => ({
  eta,
  cost,
  make,
  steps: (evaluations) => Math.max(1, Math.floor((evaluations - 1) / cost)),
});

const SOLVERS = {
  // name → η of the reversal, evaluations a step costs, make(steps, draw) → a step for one solve
  "euler-maruyama": solver(1, 1, () => eulerMaruyama),
  platen: solver(1, 1, () => eulerMaruyama), // its bracket is 0 where g does not depend on x
  heun: solver(1, 2, () => heun),
  sra: solver(1, 2, () => sra),
  exponential: solver(1, 1, () => exponential),
  "reverse-diffusion": solver(1, 1, () => reverseDiffusion),
  ancestral: solver(1, 1, () => ancestral),
  "predictor-corrector": solver(1, 2, (_, draw) => predictorCorrector(reverseDiffusion, draw)),
  "annealed-langevin": solver(1, 1, (_, draw) => predictorCorrector(stay, draw)),
  "dpm++2m-sde": solver(1, 1, () => dpmSolver(2)),
  "probability-flow-euler": solver(0, 1, () => eulerMaruyama),
  "probability-flow-heun": solver(0, 2, () => heun),
  ddim: solver(0, 1, () => dpmSolver(1)),
  "dpm++2m": solver(0, 1, () => dpmSolver(2)),
  "edm-heun": solver(0, 2, () => edmHeun(0, 1, 0, Infinity)),
  "edm-churn": solver(0, 2, (steps) => edmHeun(10, steps, 0.05, 50)),
};

const scoreFrom = (denoiser, sde) => async (x, t) => {
  // s(x, t) = [D(x/scale; std/scale) − x/scale]·scale/std²
  const [scale, std] = sde.marginal(t),
    y = sum([1 / scale, x]);
  return sum([scale / std ** 2, await denoiser(y, std / scale)], [-scale / std ** 2, y]);
};

// Yields every state on the way: { t, x, guess, evaluations }, where guess is what the network first answered there. The last guess is the
// image. denoiser(y, σ) → D, or a promise of it; draw() → as many normal numbers as x has. Evaluations: the most that may be taken.
async function* sample({ denoiser, sde, name, grid, evaluations, draw }) {
  const { eta, make, ...chosen } = SOLVERS[name],
    steps = chosen.steps(evaluations),
    times = GRIDS[grid](sde, 1, firstTime(sde), steps);
  let count = 0,
    guess = null;
  const score = scoreFrom(async (y, sigma) => {
    const d = await denoiser(y, sigma);
    count++;
    guess ??= d;
    return d;
  }, sde);
  const step = make(steps, draw),
    way = reverse(sde, score, eta);
  let x = sum([sde.priorStd, draw()]);
  for (let k = 0; k < steps; k++) {
    const t = times[k],
      dt = times[k + 1] - t,
      dw = sum([Math.sqrt(-dt), draw()]);
    const area = step.needsArea ? sum([dt / 2, dw], [Math.sqrt(-(dt ** 3) / 12), draw()]) : null;
    guess = null;
    const next = await step(way, x, t, dt, dw, area);
    yield { t, x, guess, evaluations: count };
    x = next;
  }
  const t = times[steps],
    image = await denoise(sde, score, x, t);
  yield { t, x, guess: image, evaluations: count };
}

// ---- the network, in workers -----------------------------------------------------------------------

const PIXELS = 28 * 28;

async function bytes(url, signal, progress) {
  // a file, with word of how far it has come
  const parts = [];
  try {
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error(answer.status);
    const reader = answer.body.getReader();
    for (
      let next = await reader.read();
      !next.done && !signal.aborted;
      next = await reader.read()
    ) {
      parts.push(next.value);
      progress(next.value.length);
    }
  } catch (error) {
    throw new Error(`${url.pathname} did not come (${error.message})`);
  }
  signal.throwIfAborted();
  return new Blob(parts).arrayBuffer();
}

async function adapter() {
  // true where the browser lets WebAssembly wait for a graphics card that is not imitated by the processor
  if (!navigator.gpu || !("Suspending" in WebAssembly)) return false;
  try {
    const found = await navigator.gpu.requestAdapter();
    return !!found && !found.info?.isFallbackAdapter;
  } catch {
    return false;
  }
}

// What the promise gives, but no later than the reader's Stop, and no later than two minutes. Those are counted in seconds that the page
// lived: a machine that slept is not to blame.
const PATIENCE = 120;
function inTime(promise, signal, who) {
  let clock, stop;
  return new Promise((done, fail) => {
    let seconds = 0;
    clock = setInterval(() => {
      if (++seconds === PATIENCE) fail(new Error(`${who} gave no answer for ${PATIENCE} seconds`));
    }, 1000);
    stop = () => fail(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    promise.then(done, fail);
  }).finally(() => {
    clearInterval(clock);
    signal.removeEventListener("abort", stop);
  });
}

// A worker, and ask(message) → the promise of its answer. Answers carry the number of their question: after a Stop one may come that nobody
// waits for.
function hire(url, file) {
  const worker = new Worker(url, { type: "module" }),
    open = new Map();
  let last = 0;
  const fail = (error) => {
    open.forEach((question) => question.fail(error));
    open.clear();
  };
  worker.onmessage = ({ data: { id, D, error } }) => {
    const question = open.get(id);
    open.delete(id);
    if (error === undefined) question?.done(D);
    else question?.fail(new Error(error));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(new Error(event.message || `${file} did not start`));
  };
  worker.onmessageerror = () => fail(new Error(`${file} gave an answer that cannot be read`));
  return {
    close: () => worker.terminate(),
    ask: (message) =>
      new Promise((done, fail) => {
        open.set(++last, { done, fail });
        worker.postMessage({ id: last, ...message });
      }),
  };
}

// Workers with the network: { device, workers, denoise(y, σ, labels, signal), silent, close }. On WebGPU there is one, on WebAssembly one for
// each core, up to four, and each takes its share of the images: so no memory is shared, and the server need not send headers for that.
// progress(n): n more bytes came; progress(): all came, and the workers start. silent(): one is asked, and no answer came for ten seconds.
async function network(spec, device, signal, progress) {
  const at = (file) => new URL(spec.base + file, document.baseURI),
    { runtime, binary } = spec.runtimes[device],
    team = [];
  const [wasm, model] = await Promise.all([
    bytes(at(binary), signal, progress),
    bytes(at(spec.model), signal, progress),
  ]);
  const size = device === "webgpu" ? 1 : clamp(navigator.hardwareConcurrency || 1, 1, 4),
    close = () => team.forEach((worker) => worker.close());
  progress();
  try {
    while (team.length < size) team.push(hire(at(spec.worker), spec.worker));
    await inTime(
      Promise.all(
        team.map((worker) => worker.ask({ device, runtime: at(runtime).href, wasm, model })),
      ),
      signal,
      spec.worker,
    );
  } catch (error) {
    close();
    throw error;
  }
  let open = 0,
    heard = 0;
  return {
    device,
    workers: size,
    close,
    silent: () => open > 0 && performance.now() - heard > 10_000,
    async denoise(y, sigma, labels, signal) {
      const share = Math.ceil(labels.length / size),
        D = new Float64Array(y.length),
        over = () => {
          open--;
          heard = performance.now();
        };
      const all = Promise.all(
        team.map(async (worker, k) => {
          const from = k * share,
            label = labels.slice(from, from + share);
          const x = Float32Array.from(y.subarray(from * PIXELS, (from + share) * PIXELS));
          if (label.length) D.set(await worker.ask({ x, sigma, label }), from * PIXELS);
        }),
      );
      if (!open++) heard = performance.now();
      all.then(over, over);
      await inTime(all, signal, spec.worker);
      return D;
    },
  };
}

// ---- the page --------------------------------------------------------------------------------------

const FIELDS = `
.sde-x select, .sde-x input[type="text"] { display: block; width: 100%; min-height: 34px; margin: 5px 0 0; padding: 4px 8px; font: inherit;
  border: 1px solid var(--soft); border-radius: 6px; background: var(--fill); color: var(--ink); }
.sde-x select:focus-visible, .sde-x input[type="text"]:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
.sde-x input[aria-invalid="true"] { border-color: var(--alarm); }
.sde-sampler .sde-actions { flex-wrap: wrap; margin-block: 0.25rem 0.5rem; }
.sde-x.sde-sampler .sde-note { min-height: 3.3em; }
.sde-x.sde-sampler .sde-status { min-height: 2.9em; }
.sde-sampler .sde-actions button:first-child { background: var(--accent); border-color: var(--accent); color: var(--on); font-weight: 600; }
.sde-x button:disabled { opacity: 0.5; cursor: default; border-color: var(--line); }
.sde-sampler .sde-film { display: grid; gap: 0.4rem; }
.sde-still .sde-wait { visibility: hidden; }
.sde-sampler .sde-reel { min-height: 51px; }
@media (scripting: none) { .sde-still .sde-wait, .sde-still .sde-note { display: none; } }
@media print { .sde-film, .sde-stage .sde-actions { display: none !important; } }
`;
const N = 16;
const PROCESSES = {
  VE: (sigmaMax) => VE(0.01, sigmaMax),
  "VE 25ᵗ": () => power(25),
  VP: () => VP(),
  "sub-VP": () => subVP(),
};
const DEVICES = { webgpu: "WebGPU", wasm: "WebAssembly" };

function render({ model, el }) {
  const spec = model.get("spec"),
    root = make("div", "sde-x sde-images sde-sampler", el);
  make("style", "", root, CSS + FIELDS);
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
    words.htmlFor = node.id = `sde-${Date.now().toString(36)}-${++counter}`;
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
      } catch (error) {
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

export { VE, power, VP, subVP, PROCESSES, GRIDS, SOLVERS, firstTime, sample, network, normals };
export default { render };
