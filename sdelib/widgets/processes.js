// The processes and time grids of sdelib (sdes.py, grids.py) in float64.
// dx = rate(t) x dt + g(t) dw from data at t = 0 to noise at t = T = 1;  x_t | x_0 ~ N(scale·x_0, std²·I)

const SIGMA_MIN = 0.002; // the smallest noise of training (denoiser.py)

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

export function VE(sigmaMin, sigmaMax) {
  // std² = σ(t)² − σ_min²,  σ(t) = σ_min (σ_max/σ_min)ᵗ
  const L = Math.log(sigmaMax / sigmaMin);
  return gaussian({
    rate: () => 0,
    diffusion: (t) => sigmaMin * Math.exp(L * t) * Math.sqrt(2 * L),
    marginal: (t) => [1, sigmaMin * Math.sqrt(Math.expm1(2 * L * t))],
    time: (ratio) => Math.log1p((ratio / sigmaMin) ** 2) / (2 * L),
  });
}

export function power(sigma) {
  // dx = σᵗ dw
  const root = Math.sqrt(2 * Math.log(sigma));
  return VE(1 / root, sigma / root);
}

export function VP(betaMin = 0.1, betaMax = 20) {
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

export function subVP(betaMin = 0.1, betaMax = 20) {
  const { beta, B, when, rate } = VP(betaMin, betaMax);
  return gaussian({
    rate,
    diffusion: (t) => Math.sqrt(beta(t) * -Math.expm1(-2 * B(t))),
    marginal: (t) => [Math.exp(-B(t) / 2), -Math.expm1(-B(t))],
    time: (ratio) => when(2 * Math.asinh(ratio / 2)),
  });
}

export const PROCESSES = {
  VE: (sigmaMax) => VE(0.01, sigmaMax),
  "VE 25ᵗ": () => power(25),
  VP: () => VP(),
  "sub-VP": () => subVP(),
};

// ---- time grids

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

export const GRIDS = {
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

export const firstTime = (sde) => sde.time(1.0001 * SIGMA_MIN);
