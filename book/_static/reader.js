// The reader's progress: chapters read, exercises done, answers typed. It stays in this browser (localStorage).
// A classic script, deferred; the boxes are in the page already (book/_ext/reader.py), so nothing jumps.
(function () {
  "use strict";
  var KEY = "score-book.progress.1",
    EMPTY = { read: {}, done: {}, answers: {} };
  var data = document.getElementById("reader-data"),
    here = data ? JSON.parse(data.textContent) : { page: null, tests: {} };
  var state = recall(),
    stored = true;

  // ---------------------------------------------------------------- memory

  function clean(found) {
    // what another version or a hand left behind must not break a page
    var result = { read: {}, done: {}, answers: {} };
    Object.keys(result).forEach(function (part) {
      var entries = (found && typeof found[part] === "object" && found[part]) || {};
      Object.keys(entries).forEach(function (name) {
        if (typeof entries[name] === (part === "answers" ? "string" : "boolean") && entries[name])
          result[part][name] = entries[name];
      });
    });
    return result;
  }

  function recall() {
    try {
      return clean(JSON.parse(localStorage.getItem(KEY)));
    } catch {
      // storage is blocked, or holds rubbish
      return clean(EMPTY);
    }
  }

  function remember() {
    try {
      localStorage.setItem(KEY, JSON.stringify(state));
      stored = true;
    } catch {
      stored = false;
    }
    show();
  }

  function mark(part, name, value) {
    if (stored) state = recall(); // another tab may have ticked something since
    if (value) state[part][name] = value;
    else delete state[part][name];
    remember();
  }

  // ---------------------------------------------------------------- numbers

  var EXAMPLE = "type a number such as 0.25, -3, 2.5e-3 or 1/4";

  function plain(text) {
    // a number without a fraction bar: its value, or an Error that says what to type
    var sign = /^[-+]/.test(text) ? text[0] : "",
      body = text.slice(sign.length),
      parts = /^([\d.,]+)(e[-+]?\d+)?$/.exec(body);
    if (!parts || !/\d/.test(parts[1]))
      throw new Error("“" + text + "” is not a number: " + EXAMPLE + ".");
    var digits = parts[1],
      power = parts[2] || "",
      grouped = /^[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/,
      both = /^[1-9]\d{0,2}(\.\d{3})+,\d*$/;
    if (/^[1-9]\d{0,2},\d{3}$/.test(digits)) {
      throw new Error(
        "“" +
          digits +
          "” can be read in two ways: type " +
          digits.replace(",", "") +
          " or " +
          digits.replace(",", ".") +
          ".",
      );
    }
    if (grouped.test(digits)) digits = digits.replace(/,/g, "");
    else if (both.test(digits)) digits = digits.replace(/\./g, "").replace(",", ".");
    else digits = digits.replace(",", ".");
    if (!/^(\d+\.?\d*|\.\d+)$/.test(digits))
      throw new Error("“" + text + "” is not a number: " + EXAMPLE + ".");
    var value = Number(sign + digits + power);
    if (!isFinite(value))
      throw new Error("“" + text + "” is too large for a number: " + EXAMPLE + ".");
    return value;
  }

  function parse(text) {
    // decimal point or comma, powers of ten, one fraction bar, any minus sign, spaces between digits
    var tidy = text
      .trim()
      .toLowerCase()
      .replace(/[\u2212\u2010-\u2013\ufe63\uff0d]/g, "-")
      .replace(/[\u2044\u2215\u00f7]/g, "/")
      .replace(/\s*[×·*]\s*10\s*(\^|\*\*)\s*/g, "e")
      .replace(/(\d)[\s']+(?=\d{3}(?!\d))/g, "$1")
      .replace(/\s*\/\s*/g, "/")
      .replace(/^([-+])\s+/, "$1");
    if (!tidy) throw new Error("Nothing is typed yet: " + EXAMPLE + ".");
    var parts = tidy.split("/");
    if (parts.length > 2) throw new Error("More than one fraction bar: " + EXAMPLE + ".");
    var value = plain(parts[0]);
    if (parts.length === 1) return value;
    var below = plain(parts[1]);
    if (below === 0) throw new Error("Division by zero: " + EXAMPLE + ".");
    value /= below;
    if (!isFinite(value))
      throw new Error("“" + text.trim() + "” is too large for a number: " + EXAMPLE + ".");
    return value;
  }

  function right(found, test) {
    // sdelib.book.exercises.Number: |a − b| ≤ max(relative·|a|, relative·|b|, absolute)
    var off = Math.abs(test.value - found);
    return (
      found === test.value ||
      off <= Math.abs(test.relative * test.value) ||
      off <= Math.abs(test.relative * found) ||
      off <= test.absolute
    );
  }

  // ---------------------------------------------------------------- the page

  function say(form, kind, text) {
    // `code` between backticks is set as code
    var verdict = form.querySelector(".reader-verdict");
    if (kind) form.setAttribute("data-verdict", kind);
    else form.removeAttribute("data-verdict");
    form
      .querySelector("input[type=text]")
      .setAttribute("aria-invalid", String(kind === "unclear" || kind === "wrong"));
    verdict.replaceChildren.apply(
      verdict,
      text.split("`").map(function (piece, i) {
        if (i % 2 === 0) return document.createTextNode(piece);
        var code = document.createElement("code");
        code.textContent = piece;
        return code;
      }),
    );
  }

  function answer(form) {
    var name = form.dataset.answer,
      test = here.tests[name],
      typed = form.querySelector("input[type=text]").value,
      found;
    try {
      found = parse(typed);
    } catch (error) {
      return say(form, "unclear", error.message);
    }
    if (!right(found, test))
      return say(form, "wrong", typed.trim() + " is not the number. Hint: " + test.hint);
    mark("answers", name, typed.trim().slice(0, 60));
    mark("done", name, true);
    say(form, "right", "Right. " + test.praise);
  }

  function pageOf(link) {
    // chapters/NN_… of a link in the sidebar; the current page's is "#"
    var root = new URL(document.documentElement.dataset.content_root || "./", location.href).href;
    if (link.getAttribute("href") === "#") return here.page;
    return link.href.indexOf(root) === 0
      ? link.href.slice(root.length).replace(/\.html.*$/, "")
      : null;
  }

  function show() {
    document.querySelectorAll("input[data-chapter]").forEach(function (box) {
      box.checked = Boolean(state.read[box.dataset.chapter]);
    });
    document.querySelectorAll("input[data-exercise]").forEach(function (box) {
      box.checked = Boolean(state.done[box.dataset.exercise]);
    });
    document.querySelectorAll(".bd-sidebar-primary .bd-links li > a").forEach(function (link) {
      var read = Boolean(state.read[pageOf(link)]),
        word = link.querySelector(".reader-read");
      link.toggleAttribute("data-read", read);
      if (word) word.remove();
      if (!read) return;
      word = document.createElement("span");
      word.className = "reader-read visually-hidden";
      word.textContent = ", read";
      link.append(word);
    });
    var list = document.querySelector(".reader-progress");
    if (!list) return;
    var chapters = list.querySelectorAll("input[data-chapter]"),
      exercises = list.querySelectorAll("input[data-exercise]");
    var read = list.querySelectorAll("input[data-chapter]:checked").length,
      done = list.querySelectorAll("input[data-exercise]:checked").length;
    list.querySelector(".reader-total").textContent =
      read +
      " of " +
      chapters.length +
      " chapters read, " +
      done +
      " of " +
      exercises.length +
      " exercises done." +
      (stored ? "" : " This browser does not let the page remember it.");
    list.querySelector(".reader-bar div").style.width =
      (100 * (read + done)) / (chapters.length + exercises.length) + "%";
    list.querySelectorAll(".reader-count").forEach(function (count) {
      var boxes = count.closest("li").querySelectorAll("input[data-exercise]");
      count.textContent =
        Array.from(boxes).filter(function (b) {
          return b.checked;
        }).length +
        " of " +
        boxes.length +
        " done";
    });
  }

  function wake() {
    document.querySelectorAll("form.reader-exercise").forEach(function (form) {
      var name = form.dataset.answer,
        field = form.querySelector("input[type=text]");
      if (state.answers[name]) {
        field.value = state.answers[name];
        if (state.done[name]) say(form, "right", "Right.");
      }
      form.addEventListener("submit", function (event) {
        event.preventDefault();
        answer(form);
      });
      field.addEventListener("input", function () {
        say(form, "", "");
      });
    });
    document.addEventListener("change", function (event) {
      var box = event.target;
      if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
      if (box.dataset.chapter) mark("read", box.dataset.chapter, box.checked);
      if (box.dataset.exercise) mark("done", box.dataset.exercise, box.checked);
    });
    var forget = document.querySelector(".reader-forget");
    if (forget) {
      forget.addEventListener("click", function () {
        if (!window.confirm("Forget all ticks and answers of this book?")) return;
        state = clean(EMPTY);
        remember();
      });
    }
    window.addEventListener("storage", function (event) {
      if (event.key !== KEY && event.key !== null) return;
      state = recall();
      show();
    });
    window.addEventListener("pageshow", function (event) {
      // back again, from the browser's memory of the page
      if (!event.persisted || !stored) return;
      state = recall();
      show();
    });
    document
      .querySelectorAll(
        ".reader-exercise :disabled, .reader-chapter :disabled, .reader-progress :disabled",
      )
      .forEach(function (e) {
        e.disabled = false;
      });
    show();
    folds();
    reach();
    window.addEventListener("resize", reach);
    document.addEventListener("toggle", reach, true); // what a fold held has its width now
    onPaper();
  }

  var CODE = "score-book.code";

  function folds() {
    // one switch for all code that is folded; what the reader chose is kept
    var all = document.querySelectorAll("details.fold"),
      chosen = null;
    if (!all.length) return;
    var button = document.createElement("button");
    button.type = "button";
    button.className = "code-switch";
    function set(open) {
      all.forEach(function (fold) {
        fold.open = open;
      });
      button.setAttribute("aria-pressed", String(open));
      button.textContent = open ? "Code: hide" : "Code: show";
    }
    try {
      chosen = localStorage.getItem(CODE);
    } catch {
      // storage is blocked: folded, as the page comes
    }
    set(chosen === "shown");
    button.addEventListener("click", function () {
      var open = button.getAttribute("aria-pressed") !== "true",
        before = button.getBoundingClientRect().top;
      set(open);
      window.scrollBy(0, button.getBoundingClientRect().top - before);
      try {
        localStorage.setItem(CODE, open ? "shown" : "folded");
      } catch {
        // for this page only, then
      }
    });
    all[0].before(button);
  }

  function onPaper() {
    // a page in the dark theme is printed in the light one, and what is folded is printed too
    var root = document.documentElement,
      before = null,
      opened = [];
    window.addEventListener("beforeprint", function () {
      opened = Array.from(document.querySelectorAll("details:not([open])"));
      opened.forEach(function (fold) {
        fold.open = true;
      });
      if (root.dataset.theme === "light") return;
      before = root.dataset.theme;
      root.dataset.theme = "light";
    });
    window.addEventListener("afterprint", function () {
      opened.forEach(function (fold) {
        fold.open = false;
      });
      if (before) root.dataset.theme = before;
      before = null;
    });
  }

  function reach() {
    // what is wider than its frame can be pushed sideways with the keyboard too
    document
      .querySelectorAll(
        ".bd-article :is(div.math, mjx-container[display], .pst-scrollable-table-container, div.cell_output, div.cell_output > .text_html, div.highlight pre)",
      )
      .forEach(function (box) {
        var wide = box.scrollWidth > box.clientWidth;
        if (wide && !box.hasAttribute("tabindex")) box.setAttribute("tabindex", "0");
        if (!wide && box.getAttribute("tabindex") === "0") box.removeAttribute("tabindex");
      });
  }

  try {
    // can it be stored at all?
    localStorage.setItem(KEY + ".try", "1");
    localStorage.removeItem(KEY + ".try");
  } catch {
    stored = false;
  }
  wake();
})();
