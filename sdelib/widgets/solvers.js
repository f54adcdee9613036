// The solvers of sdelib in float64 (solvers.py, predictor_corrector.py, few_steps.py, own/by_name.py).
// A step takes x from t to t + dt, dt < 0; dw = √|dt| z

import { GRIDS, firstTime } from "./processes.js";

const SNR = 0.16; // the correctors' signal-to-noise ratio (own/by_name.py)

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
stay.needsNoise = false;

function predictorCorrector(predictor, draw) {
  // then x + ε s + √(2ε) z,  ε = 2 snr²/mean(s²)
  const step = async (sde, x, t, dt, dw) => {
    const y = await predictor(sde, x, t, dt, dw),
      s = await sde.score(y, t + dt);
    const eps = (2 * SNR ** 2 * s.length) / s.reduce((total, v) => total + v * v, 0);
    return sum([1, y], [eps, s], [Math.sqrt(2 * eps), draw()]);
  };
  return Object.assign(step, { needsNoise: predictor.needsNoise });
}

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
  const step = async ({ forward, score }, x, t, dt, dw) => {
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
  return Object.assign(step, { needsNoise: churn > 0 });
}

// ---- own/by_name.py --------------------------------------------------------------------------------

const solver = (eta, cost, make) => ({
  eta,
  cost,
  make,
  steps: (evaluations) => Math.max(1, Math.floor((evaluations - 1) / cost)),
});

export const SOLVERS = {
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
export async function* sample({ denoiser, sde, name, grid, evaluations, draw }) {
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
    way = reverse(sde, score, eta),
    noisy = step.needsNoise ?? eta > 0; // an ODE draws none
  let x = sum([sde.priorStd, draw()]);
  const none = x.map(() => 0);
  for (let k = 0; k < steps; k++) {
    const t = times[k],
      dt = times[k + 1] - t,
      dw = sum([Math.sqrt(-dt), noisy ? draw() : none]);
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
