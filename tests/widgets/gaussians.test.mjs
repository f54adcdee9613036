// gaussians.js: closed forms against known answers. Against sdelib on random mixtures: test_mixture.py.

import assert from "node:assert/strict";
import test from "node:test";

import {
  diffused,
  evaluate,
  grid,
  langevinStep,
  picture,
  reverseStep,
} from "../../sdelib/widgets/gaussians.js";

const near = (a, b, off = 1e-12) =>
  assert.ok(Math.abs(a - b) <= off * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
const one = [{ weight: 1, mean: [1, -2], stds: [0.5, 2], angle: 0 }];
const two = [
  { weight: 0.5, mean: [2, 0], stds: [1, 0.5], angle: 0.3 },
  { weight: 0.5, mean: [-2, 0], stds: [1, 0.5], angle: 0.3 },
];

function at(components, sigma, points) {
  const n = points.length,
    log = new Float64Array(n),
    score = new Float64Array(2 * n),
    shares = new Float64Array(n * components.length);
  evaluate(diffused(components, sigma), points.flat(), n, log, score, shares);
  return { log, score, shares };
}

test("one Gaussian: log N, and the score C⁻¹(m − x) of the variances s² + σ²", () => {
  const sigma = 1.5,
    [v, w] = [0.5 ** 2 + sigma ** 2, 2 ** 2 + sigma ** 2],
    x = [3, 1];
  const { log, score } = at(one, sigma, [x]);
  near(
    log[0],
    -Math.log(2 * Math.PI) - Math.log(v * w) / 2 - ((x[0] - 1) ** 2 / v + (x[1] + 2) ** 2 / w) / 2,
  );
  near(score[0], (1 - x[0]) / v);
  near(score[1], (-2 - x[1]) / w);
});

test("half way between two equal components their shares are equal and the score along their line is 0", () => {
  const { score, shares } = at(
    two.map((c) => ({ ...c, angle: 0 })),
    0.2,
    [[0, 0]],
  );
  near(shares[0], 0.5);
  near(score[0], 0);
});

test("the score is the gradient of log p", () => {
  const h = 1e-5,
    x = [0.7, -0.4];
  const { score } = at(two, 0.3, [x]);
  for (const c of [0, 1]) {
    const step = (sign) => at(two, 0.3, [x.map((v, i) => v + (i === c ? sign * h : 0))]).log[0];
    near(score[c], (step(1) - step(-1)) / (2 * h), 1e-8); // the error of central differences: h² times the third derivative
  }
});

test("far from every component the score is that of the nearest one, and no 0/0", () => {
  const { score } = at(two, 0, [[1e5, 0]]);
  assert.ok(score.every(Number.isFinite) && score[0] < 0);
});

test("without noise a Langevin step is x + ε s, and a step of the probability flow is x + σ s (σ − σ')", () => {
  const x = Float64Array.of(3, 1),
    { score } = at(one, 0, [[3, 1]]);
  langevinStep(diffused(one, 0), x, 1, 0.01, () => 0);
  near(x[0], 3 + 0.01 * score[0]);
  near(x[1], 1 + 0.01 * score[1]);
  const y = Float64Array.of(3, 1),
    flow = at(one, 2, [[3, 1]]).score;
  reverseStep(one, y, 1, 2, 1.9, 0, () => assert.fail("the flow draws no noise"));
  near(y[0], 3 + 2 * 0.1 * flow[0]);
  near(y[1], 1 + 2 * 0.1 * flow[1]);
});

test("small steps of the flow carry N(m, s² + σ²) to N(m, s²): distances from m shrink by √(s² + σ'²)/√(s² + σ²)", () => {
  const x = Float64Array.of(4, 3),
    K = 20_000,
    level = (k) => 3 * (1 - k / K);
  for (let k = 0; k < K; k++) reverseStep(one, x, 1, level(k), level(k + 1), 0);
  near(x[0], 1 + (4 - 1) * Math.sqrt(0.5 ** 2 / (0.5 ** 2 + 9)), 2e-3); // Euler's error: of order 3/K times the curvature 1/s²
  near(x[1], -2 + (3 + 2) * Math.sqrt(2 ** 2 / (2 ** 2 + 9)), 2e-3);
});

test("a grid reaches the edges, row 0 at y0", () => {
  assert.deepEqual([...grid([-1, 1, 0, 4], 3)].slice(0, 8), [-1, 0, 0, 0, 1, 0, -1, 2]);
});

test("a picture spends the whole range: the largest density is 255, the longest arrow 127", () => {
  const extent = [-4, 4, -4, 4],
    frame = picture(diffused(two, 0.5), extent, grid(extent, 96), grid(extent, 19));
  const { density, arrows } = frame.decoded;
  assert.equal(Math.max(...density.data), 255);
  let longest = 0;
  for (let i = 0; i < arrows.data.length; i += 2)
    longest = Math.max(longest, Math.hypot(arrows.data[i], arrows.data[i + 1]));
  assert.ok(Math.abs(longest - 127) <= 1);
});
