// numbers.js: words for numbers, and draws from a seed.

import assert from "node:assert/strict";
import test from "node:test";

import { clamp, normals, short, uniforms } from "../../sdelib/widgets/numbers.js";

test("clamp keeps to its bounds", () => {
  assert.deepEqual(
    [-1, 0.5, 7].map((v) => clamp(v, 0, 1)),
    [0, 0.5, 1],
  );
});

test("short writes three digits, a true minus sign, and powers of ten where zeros would be many", () => {
  const words = {
    0: "0",
    1.23456: "1.23",
    "-0.5": "−0.5",
    123456: "1.23e5",
    0.00012345: "1.23e−4",
  };
  for (const [v, text] of Object.entries(words)) assert.equal(short(Number(v)), text);
  assert.equal(short(Math.PI, 5), "3.1416");
});

const mean = (list, f) => list.reduce((sum, v) => sum + f(v), 0) / list.length;

test("uniform draws are the same for the same seed, others for its neighbour, and flat", () => {
  const draw = (seed) => Array.from({ length: 20_000 }, uniforms(seed));
  const [one, again, other] = [draw(1), draw(1), draw(2)];
  assert.deepEqual(one, again);
  assert.notDeepEqual(one.slice(0, 5), other.slice(0, 5));
  assert.ok(one.every((u) => 0 < u && u < 1));
  // std of u, u² and of a product of two: 0.289, 0.298, 0.220
  for (const [f, exact, std] of [
    [(u) => u, 1 / 2, 0.289],
    [(u) => u * u, 1 / 3, 0.298],
  ])
    assert.ok(Math.abs(mean(one, f) - exact) < (4.5 * std) / Math.sqrt(20_000));
  const products = one.map((u, i) => u * other[i]);
  assert.ok(Math.abs(mean(products, (v) => v) - 1 / 4) < (4.5 * 0.22) / Math.sqrt(20_000));
});

test("normal draws have the moments 0, 1, 0, 3", () => {
  const n = 50_000,
    z = Array.from({ length: n }, normals(7));
  for (const [k, exact, variance] of [
    [1, 0, 1],
    [2, 1, 2],
    [3, 0, 15],
    [4, 3, 96],
  ])
    // Var[z^k] = E[z^2k] − E[z^k]²
    assert.ok(
      Math.abs(mean(z, (v) => v ** k) - exact) < 4.5 * Math.sqrt(variance / n),
      `moment ${k}`,
    );
});
