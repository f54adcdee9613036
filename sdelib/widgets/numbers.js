// Numbers: bounds, words, and draws from seeds.

export const clamp = (v, a, b) => Math.min(Math.max(v, a), b);
export const short = (v, digits = 3) =>
  (v === 0
    ? "0"
    : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3
      ? Number(v.toPrecision(digits)).toExponential().replace("e+", "e")
      : String(Number(v.toPrecision(digits)))
  ).replace("-", "−");

export function uniforms(seed) {
  // draws from (0, 1), in steps of 2⁻³²; the same for the same seed. Three words are mixed, a fourth counts: sfc32
  let a = 0,
    b = seed >>> 0,
    c = Math.floor(seed / 2 ** 32) >>> 0,
    count = 1;
  const next = () => {
    const sum = (a + b + count++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return ((sum >>> 0) + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next(); // seeds that are neighbours part
  return next;
}

export function normals(seed) {
  // a function that returns the next draw of N(0, 1): Box and Muller, so no draw is beyond √(2 ln 2³³) = 6.8
  const u = uniforms(seed);
  let kept = null;
  return () => {
    if (kept !== null) {
      const z = kept;
      kept = null;
      return z;
    }
    const r = Math.sqrt(-2 * Math.log(u())),
      angle = 2 * Math.PI * u();
    kept = r * Math.sin(angle);
    return r * Math.cos(angle);
  };
}
