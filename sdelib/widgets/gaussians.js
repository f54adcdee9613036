// A Gaussian mixture of the plane in closed form: log density, score, particles. No page is needed for it.

// The grids of the density and of the arrows, points a side.
export const FINE = 96;
export const COARSE = 19;

// A component is { weight, mean: [x, y], stds: [s, u], angle }: C = R diag(s², u²) Rᵀ, where R turns by the angle.
// diffused(components, σ) has a row for each: [log(w/Σw) − ½ log det(C + σ²I) − log 2π, mean, the two variances, cos, sin].
export function diffused(components, sigma) {
  const total = components.reduce((sum, c) => sum + c.weight, 0),
    out = new Float64Array(7 * components.length);
  components.forEach(({ weight, mean, stds, angle }, k) => {
    const [v, w] = stds.map((s) => s * s + sigma * sigma);
    out.set(
      [
        Math.log(weight / total) - Math.log(v * w) / 2 - Math.log(2 * Math.PI),
        mean[0],
        mean[1],
        v,
        w,
        Math.cos(angle),
        Math.sin(angle),
      ],
      7 * k,
    );
  });
  return out;
}

// log p, score = Σ_k r_k C_k⁻¹(m_k − x) and r_k ∝ w_k N(x; m_k, C_k) at n points; null for what is not wanted. The largest exponent
// is taken out before exp, so that far from every component nothing is 0/0.
export function evaluate(rows, xy, n, log, score, shares) {
  const K = rows.length / 7,
    part = new Float64Array(K),
    pull = new Float64Array(2 * K);
  for (let i = 0; i < n; i++) {
    let top = -Infinity,
      sum = 0,
      sx = 0,
      sy = 0;
    for (let k = 0, o = 0; k < K; k++, o += 7) {
      const dx = xy[2 * i] - rows[o + 1],
        dy = xy[2 * i + 1] - rows[o + 2],
        c = rows[o + 5],
        s = rows[o + 6];
      const u = c * dx + s * dy,
        v = c * dy - s * dx,
        a = u / rows[o + 3],
        b = v / rows[o + 4];
      part[k] = rows[o] - (u * a + v * b) / 2;
      pull[2 * k] = s * b - c * a;
      pull[2 * k + 1] = -(s * a + c * b);
      if (part[k] > top) top = part[k];
    }
    for (let k = 0; k < K; k++) {
      const r = (part[k] = Math.exp(part[k] - top));
      sum += r;
      sx += r * pull[2 * k];
      sy += r * pull[2 * k + 1];
    }
    if (log) log[i] = top + Math.log(sum);
    if (score) {
      score[2 * i] = sx / sum;
      score[2 * i + 1] = sy / sum;
    }
    if (shares) for (let k = 0; k < K; k++) shares[i * K + k] = part[k] / sum;
  }
}

// x ← x + ε s(x) + √(2ε) z, in place; z: a function that returns the next normal number.
export function langevinStep(rows, x, n, eps, z, s = new Float64Array(2 * n)) {
  evaluate(rows, x, n, null, s);
  const noise = Math.sqrt(2 * eps);
  for (let i = 0; i < 2 * n; i++) x[i] += eps * s[i] + noise * z();
}

// One Euler–Maruyama step of dx = −(1 + η²) σ s dσ + η √(2σ) dw̄ from σ down to next, in place: p_σ is carried to p_next.
export function reverseStep(components, x, n, sigma, next, eta, z, s = new Float64Array(2 * n)) {
  evaluate(diffused(components, sigma), x, n, null, s);
  const drift = (1 + eta * eta) * sigma * (sigma - next),
    noise = eta * Math.sqrt(2 * sigma * (sigma - next));
  for (let i = 0; i < 2 * n; i++) x[i] += drift * s[i] + (noise ? noise * z() : 0);
}

export function grid([x0, x1, y0, y1], n) {
  // as plotting.grid_points: row 0 at y0
  const xy = new Float64Array(2 * n * n);
  for (let r = 0, i = 0; r < n; r++)
    for (let c = 0; c < n; c++) {
      xy[i++] = x0 + ((x1 - x0) * c) / (n - 1);
      xy[i++] = y0 + ((y1 - y0) * r) / (n - 1);
    }
  return xy;
}

// A frame as frames.py makes it, for drawing.js.
export function picture(rows, extent, fine, coarse) {
  const n = fine.length / 2,
    m = coarse.length / 2,
    log = new Float64Array(n),
    score = new Float64Array(2 * m),
    density = new Uint8Array(n),
    arrows = new Int8Array(2 * m);
  evaluate(rows, fine, n, log);
  evaluate(rows, coarse, m, null, score);
  let top = -Infinity,
    longest = 0;
  for (let i = 0; i < n; i++) top = Math.max(top, log[i]);
  for (let i = 0; i < n; i++) density[i] = Math.round(255 * Math.exp(log[i] - top));
  for (let i = 0; i < m; i++)
    longest = Math.max(longest, Math.hypot(score[2 * i], score[2 * i + 1]));
  for (let i = 0; i < m; i++) {
    const scale =
      127 / Math.sqrt(Math.max(Math.hypot(score[2 * i], score[2 * i + 1]), 1e-300) * longest);
    for (const c of [0, 1]) arrows[2 * i + c] = Math.round(scale * score[2 * i + c]);
  }
  return {
    meta: {
      extent,
      axes: ["x₁", "x₂"],
      range: [0, Math.exp(top)],
      label: "density",
      longest,
      arrays: { density: true, arrows: true },
    },
    decoded: {
      density: { data: density, shape: [FINE, FINE] },
      arrows: { data: arrows, shape: [COARSE, COARSE, 2] },
    },
  };
}
