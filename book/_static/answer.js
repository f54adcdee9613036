// A typed answer: the number that it is, and whether it is the right one.
// A classic script, for pages with exercises; the same language and the same verdicts as
// sdelib/book/exercises (expression.py, mechanism.py), held to the same cases by tests/book/expressions.json.
(function () {
  "use strict";
  var EXAMPLE = "type a number such as 0.25, 2.5e-3 or 1/4, or a formula such as sqrt(3)/2",
    LONGEST = 60,
    CONSTANTS = { e: Math.E, pi: Math.PI, π: Math.PI },
    FUNCTIONS = {
      sqrt: Math.sqrt,
      exp: Math.exp,
      ln: Math.log,
      log: Math.log,
      log10: Math.log10,
      log2: Math.log2,
    },
    SIGNS = [
      [/^[=≈~]\s*/g, ""],
      [/[\u2212\u2010-\u2013\ufe63\uff0d]/g, "-"],
      [/[\u2044\u2215\u00f7]/g, "/"],
      [/[×·⋅∙]/g, "*"],
      [/\*\*/g, "^"],
      [/₁₀/g, "10"],
      [/₂/g, "2"],
      [/[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+/g, raised],
      [/(\d)\s*x\s*(?=10\s*\^)/g, "$1*"],
      [/(math|numpy|np|torch)\.(?=[a-z])/g, ""],
      [/(\d)[\s'_]+(?=\d{3}(?!\d))/g, "$1"],
    ],
    TOKEN =
      /\s*(?:([\d.,]*\d[\d.,]*(?:e[-+]?\d+)?)(?!\w)|([\d.,]*\d[\d.,]*)(?=[a-zπ])|(log10|log2|log|ln|exp|sqrt|pi|π|e)(?!\w)|([-+*/^()√]))/y;

  // ---------------------------------------------------------------- the words and the numbers

  function raised(digits) {
    var plain = "+-0123456789";
    return (
      "^" +
      Array.from(digits, function (d) {
        return plain["⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(d)];
      }).join("")
    );
  }

  function no(text) {
    return new Error("“" + text + "” is not a number: " + EXAMPLE + ".");
  }

  function plain(text) {
    // a number without a sign, in one of the ways of writing it
    var parts = text.split("e"),
      digits = parts[0];
    if (/^[1-9]\d{0,2},\d{3}$/.test(digits)) {
      var ways = digits.replace(",", "") + " or " + digits.replace(",", ".");
      throw new Error("“" + digits + "” can be read in two ways: type " + ways + ".");
    }
    if (/^[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/.test(digits)) digits = digits.replace(/,/g, "");
    else if (/^[1-9]\d{0,2}(\.\d{3})+,\d*$/.test(digits)) digits = digits.replace(/\./g, "");
    digits = digits.replace(",", ".");
    if (!/^(\d+\.?\d*|\.\d+)$/.test(digits)) throw no(text);
    return Number(digits + "e" + (parts[1] || 0));
  }

  function tokens(text) {
    var found = [],
      at = 0;
    SIGNS.forEach(function (pair) {
      text = text.replace(pair[0], pair[1]);
    });
    while (at < text.length) {
      TOKEN.lastIndex = at;
      var hit = TOKEN.exec(text);
      if (!hit) throw no(text.slice(at).trim());
      var digits = hit[1] || hit[2];
      found.push(digits ? plain(digits) : hit[3] || hit[4]);
      at = TOKEN.lastIndex;
    }
    return found;
  }

  // ---------------------------------------------------------------- the grammar

  function value(typed) {
    // the number that is typed, or an Error that says what to type
    var tidy = typed.trim();
    if (!tidy) throw new Error("Nothing is typed yet: " + EXAMPLE + ".");
    if (tidy.length > LONGEST)
      throw new Error("That is longer than " + LONGEST + " characters: " + EXAMPLE + ".");
    var text = tidy.toLowerCase(),
      all = tokens(text),
      at = 0,
      careful = false; // a bar or a power came before: what stands side by side has two meanings

    function take() {
      if (typeof all[at] !== "string" || Array.from(arguments).indexOf(all[at]) < 0) return "";
      return all[at++];
    }

    function real(result) {
      if (isNaN(result)) throw new Error("“" + text + "” has no real value: " + EXAMPLE + ".");
      if (!isFinite(result))
        throw new Error("“" + text + "” is too large for a number: " + EXAMPLE + ".");
      return result;
    }

    function total() {
      var result = product(),
        sign;
      while ((sign = take("+", "-"))) result = real(result + (sign === "+" ? 1 : -1) * product());
      return result;
    }

    function beside() {
      // does a factor follow without a sign, as in 2π?
      var before = all[at - 1],
        next = all[at];
      return (
        (typeof before === "number" || before === ")") &&
        typeof next === "string" &&
        (["pi", "π", "√", "("].indexOf(next) >= 0 || Object.hasOwn(FUNCTIONS, next))
      );
    }

    function product() {
      var outside = careful;
      careful = false;
      var result = signed();
      for (;;) {
        if (take("*")) result = real(result * signed());
        else if (take("/")) {
          careful = true;
          var below = signed();
          if (below === 0) throw new Error("Division by zero: " + EXAMPLE + ".");
          result = real(result / below);
        } else if (beside()) {
          if (careful)
            throw new Error("“" + text + "” can be read in two ways: write * where it is.");
          result = real(result * power());
        } else {
          careful = outside;
          return result;
        }
      }
    }

    function signed() {
      if (take("-")) return -signed();
      return take("+") ? signed() : power();
    }

    function power() {
      var base = atom();
      if (!take("^")) return base;
      careful = true;
      var exponent = signed();
      if (base === 0 && exponent < 0) throw new Error("Division by zero: " + EXAMPLE + ".");
      return real(Math.pow(base, exponent));
    }

    function atom() {
      var token = all[at++];
      if (typeof token === "number") return real(token);
      if (token === "√") return real(Math.sqrt(atom()));
      if (token && Object.hasOwn(CONSTANTS, token)) return CONSTANTS[token];
      if (token === "(" || (token && Object.hasOwn(FUNCTIONS, token) && take("("))) {
        var inside = total();
        if (!take(")")) throw new Error("“" + text + "” lacks a closing parenthesis.");
        if (token === "(") return inside;
        var result = FUNCTIONS[token](inside);
        return real(token.indexOf("l") === 0 && inside <= 0 ? NaN : result);
      }
      throw no(text);
    }

    var result = total();
    if (at < all.length) throw no(tidy);
    return result;
  }

  // ---------------------------------------------------------------- right, close or wrong

  function rounded(found, test) {
    // the number itself, rounded to so many digits or more
    var power = Number(test.value.toExponential().split("e")[1]);
    for (var digits = test.digits; digits <= 6; digits++) {
      var unit = Math.pow(10, power + 1 - digits),
        units = found / unit;
      if (
        Math.abs(units - Math.round(units)) < 1e-6 &&
        Math.abs(found - test.value) <= 0.5 * unit * (1 + 1e-9)
      )
        return true;
    }
    return false;
  }

  function judge(found, test) {
    // sdelib.book.exercises.Number.judge
    var off = Math.abs(test.value - found),
      allowed = Math.max(
        Math.abs(test.relative * test.value),
        Math.abs(test.relative * found),
        test.absolute,
      );
    if (found === test.value || off <= allowed || rounded(found, test)) return "right";
    return off < 0.1 * Math.abs(test.value) ? "close" : "wrong";
  }

  window.scoreBookAnswer = { value: value, judge: judge };
})();
