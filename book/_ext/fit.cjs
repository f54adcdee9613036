// Long formulas, broken for a phone: standard input is a JSON list of TeX, standard output a list of
// null (it fits), or { tex, scale }: the same formula in lines, and the size at which they fit.
//
// Widths are those of MathJax itself, whose SVG output knows them without a browser. A formula breaks
// after a \quad, then before a relation, then before + and −, then inside a pair of brackets; what
// cannot be broken is set smaller. The arguments: MathJax, and the width of a line in ex.
"use strict";
const LIMIT = Number(process.argv[3]);
const SMALL = 0.86; // lines may be as long as fits at this size

const RELATIONS = new Set(
  (
    "= < > \\le \\ge \\leq \\geq \\approx \\propto \\sim \\to \\longrightarrow \\mapsto \\iff " +
    "\\Rightarrow \\Longrightarrow \\ne \\neq \\equiv \\ll \\gg \\simeq \\xrightarrow"
  ).split(" "),
);
const SIGNS = new Set(["+", "-", "\\pm", "\\mp", "\\cdot", "\\times"]);
const SPACES = new Set(["\\quad", "\\qquad"]);
const SIZED = /^\\(big|Big|bigg|Bigg)[lrm]?$/;

const tokens = (tex) => tex.match(/\\[a-zA-Z]+|\\[\s\S]|\s+|[\s\S]/g) ?? [];

// [{ at, rank, drop }]: where a formula may break, before token `at`.  rank: 1 to 4 as above.
function breaks(list) {
  const found = [];
  let hard = 0, // braces, \left … \right, environments: never broken
    soft = 0, // round and square brackets
    before = null;
  list.forEach((token, at) => {
    if (/^\s+$/.test(token)) return;
    if (token === "{" || token === "\\left" || token === "\\begin") hard++;
    if (token === "}" || token === "\\right" || token === "\\end") hard--;
    const open = token === "(" || token === "[" || token === "\\{";
    const close = token === ")" || token === "]" || token === "\\}";
    const fence = before === "\\left" || before === "\\right";
    if (!hard && !fence) soft += open - close;
    const start = before === null || RELATIONS.has(before) || SIGNS.has(before);
    const inside = before === "(" || before === "[" || before === "^" || before === "_";
    if (!hard && !start && !inside && !SIZED.test(before)) {
      if (SPACES.has(token)) found.push({ at, rank: soft > 0 ? 4 : 1, drop: 1 });
      else if (RELATIONS.has(token)) found.push({ at, rank: soft > 0 ? 4 : 2, drop: 0 });
      else if (SIGNS.has(token)) found.push({ at, rank: soft > 0 ? 4 : 3, drop: 0 });
    }
    before = token;
  });
  return found;
}

// The lines of a formula none of which is wider than `most`, where breaks of this rank allow it.
function lines(tex, width, most, rank = 1) {
  if (width(tex) <= most || rank > 4) return [tex];
  const list = tokens(tex),
    at = breaks(list).filter((b) => b.rank <= rank);
  const done = [];
  let from = 0,
    last = null;
  const text = (a, b) => list.slice(a, b).join("").trim().replace(/(\s*\\[;,!:\s])+$/, "");
  for (const stop of [...at, { at: list.length, drop: 0 }]) {
    if (last && width(text(from, stop.at)) + (done.length ? 2.3 : 0) > most) {
      done.push(text(from, last.at));
      from = last.at + last.drop;
    }
    last = stop;
  }
  done.push(text(from, list.length));
  return done.filter(Boolean).flatMap((line) => lines(line, width, most, rank + 1));
}

// The rows of an environment of lines, without their & marks; one row for anything else.
function rows(tex) {
  const hit = /^\\begin\{(split|aligned|gathered|align\*?)\}([\s\S]*)\\end\{\1\}([.,]?)$/.exec(
    tex.trim(),
  );
  if (!hit) return [tex.trim()];
  const found = [""];
  let depth = 0;
  for (const token of tokens(hit[2] + hit[3])) {
    if (token === "{" || token === "\\begin") depth++;
    if (token === "}" || token === "\\end") depth--;
    if (!depth && token === "\\\\") found.push("");
    else if (depth || token !== "&") found[found.length - 1] += token;
  }
  return found.map((row) => row.replace(/^\[[^\]]*\]/, "").trim()).filter(Boolean);
}

require(process.argv[2])
  .init({
    loader: { load: ["input/tex", "output/svg"] },
    startup: { typeset: false },
  })
  .then(async (MathJax) => {
    const { adaptor } = MathJax.startup,
      known = new Map();
    const width = (tex) => {
      if (!known.has(tex)) {
        let found = Infinity;
        try {
          const svg = adaptor.firstChild(MathJax.tex2svg(tex, { display: true }));
          if (!adaptor.outerHTML(svg).includes("merror"))
            found = parseFloat(adaptor.getAttribute(svg, "width"));
        } catch {
          // no formula by itself: not a place to break
        }
        known.set(tex, found);
      }
      return known.get(tex);
    };
    const all = JSON.parse(require("fs").readFileSync(0, "utf8"));
    for (const tex of all) await MathJax.tex2svgPromise(tex, { display: true });
    const fit = all.map((tex) => {
      if (width(tex) <= LIMIT) return null;
      const most = LIMIT / SMALL,
        shapes = [[tex], rows(tex).flatMap((row) => lines(row, width, most))];
      let best = null;
      for (const shape of shapes) {
        const set = shape
          .map((line, k) => `&${k && shape.length > 1 ? "\\quad " : ""}{}${line}`)
          .join("\\\\\n");
        const made = shape.length > 1 ? `\\begin{aligned}${set}\\end{aligned}` : tex;
        const scale = Math.min(1, LIMIT / width(made));
        if (Number.isFinite(width(made)) && (!best || (best.scale < SMALL && scale > best.scale)))
          best = { tex: made, scale };
      }
      return best;
    });
    process.stdout.write(JSON.stringify(fit));
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
