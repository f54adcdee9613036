// processes.js and solvers.js: known answers. Against sdelib on the same noise: tests/site/test_sampler.py.

import assert from "node:assert/strict";
import test from "node:test";

import {
  GRIDS,
  PROCESSES,
  VE,
  VP,
  firstTime,
  power,
  subVP,
} from "../../sdelib/widgets/processes.js";
import { SOLVERS, sample } from "../../sdelib/widgets/solvers.js";

const near = (a, b, off = 1e-10) =>
  assert.ok(Math.abs(a - b) <= off * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
const processes = Object.entries(PROCESSES).map(([name, make]) => [name, make(80)]);

test("VP keeps the variance: scale² + std² = 1, and sub-VP has std = 1 − scale²", () => {
  for (const t of [0.01, 0.3, 1]) {
    const [scale, std] = VP().marginal(t),
      [same, less] = subVP().marginal(t);
    near(scale ** 2 + std ** 2, 1);
    near(same, scale);
    near(less, 1 - scale ** 2);
  }
});

test("σᵗ dw ends at the std √((σ² − 1)/(2 ln σ))", () => {
  near(power(25).priorStd, Math.sqrt((25 ** 2 - 1) / (2 * Math.log(25))));
  near(VE(0.01, 80).priorStd, Math.sqrt(80 ** 2 - 0.01 ** 2));
});

for (const [name, sde] of processes) {
  test(`${name}: time is the inverse of std/scale, and g² and the rate are what the marginals move by`, () => {
    for (const t of [0.05, 0.4, 0.9]) {
      near(sde.time(sde.ratio(t)), t, 1e-9);
      const h = 1e-5,
        [a, s] = sde.marginal(t - h),
        [b, u] = sde.marginal(t + h),
        [scale, std] = sde.marginal(t);
      near(sde.rate(t), (Math.log(b) - Math.log(a)) / (2 * h), 1e-6); // central differences
      const growth = (u ** 2 - s ** 2) / (2 * h); // d std²/dt = 2 rate std² + g²
      near(sde.diffusion(t) ** 2, growth - 2 * sde.rate(t) * std ** 2, 1e-6);
      assert.ok(scale > 0);
    }
  });

  test(`${name}: a transition from s to t carries the marginal of s to that of t`, () => {
    const [r, v] = sde.transition(0.3, 0.7),
      [a, s] = sde.marginal(0.3),
      [b, u] = sde.marginal(0.7);
    near(r * a, b);
    near(r ** 2 * s ** 2 + v, u ** 2);
  });

  test(`${name}: every grid falls from 1 to the first time`, () => {
    for (const grid of Object.values(GRIDS)) {
      const times = grid(sde, 1, firstTime(sde), 12);
      assert.equal(times.length, 13);
      assert.equal(times[0], 1);
      near(times[12], firstTime(sde));
      assert.ok(times.every((t, k) => k === 0 || t < times[k - 1]));
    }
  });
}

async function last(options) {
  let state;
  for await (state of sample(options));
  return state;
}

test("data that are one point c are found exactly by every solver, and no evaluation is left uncounted", async () => {
  const c = Float64Array.of(0.25, -1);
  for (const [name, solver] of Object.entries(SOLVERS)) {
    const denoiser = () => c,
      draw = () => Float64Array.of(0.3, -0.8); // E[x_0 | x_t] = c
    const { guess, evaluations } = await last({
      denoiser,
      sde: VP(),
      name,
      grid: "karras",
      evaluations: 12,
      draw,
    });
    guess.forEach((v, i) => near(v, c[i], 1e-6));
    assert.equal(evaluations, solver.steps(12) * solver.cost + 1, name);
  }
});

test("on N(0, s²) the flow ends at x s/√(s² + σ_max²): Heun's error falls with the square of the steps, Euler's with the steps", async () => {
  const s = 0.5,
    sde = VE(0.01, 80),
    draw = () => Float64Array.of(1);
  const denoiser = (y, sigma) => y.map((v) => (v * s ** 2) / (s ** 2 + sigma ** 2));
  const exact = (s * sde.priorStd) / Math.sqrt(s ** 2 + sde.priorStd ** 2);
  const error = async (name, steps) => {
    const { x } = await last({
      denoiser,
      sde,
      name,
      grid: "geometric",
      evaluations: steps * SOLVERS[name].cost + 1,
      draw,
    });
    return Math.abs(x[0] - exact * Math.sqrt(1 + (sde.ratio(firstTime(sde)) / s) ** 2));
  };
  for (const [name, order] of [
    ["probability-flow-euler", 1],
    ["probability-flow-heun", 2],
    ["edm-heun", 2],
    ["dpm++2m", 2],
  ]) {
    const found = Math.log2((await error(name, 320)) / (await error(name, 640)));
    assert.ok(Math.abs(found - order) < 0.15, `${name} has order ${found.toFixed(2)}`);
  }
});
