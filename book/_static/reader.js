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

  // ---------------------------------------------------------------- a file of one's own

  var VERSION = 1;

  function save(book) {
    if (stored) state = recall();
    var day = new Date().toISOString().slice(0, 10),
      text = JSON.stringify(
        {
          book: book,
          version: VERSION,
          saved: day,
          read: state.read,
          done: state.done,
          answers: state.answers,
        },
        null,
        1,
      ),
      link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "score-book-progress-" + day + ".json";
    link.click();
    setTimeout(URL.revokeObjectURL, 60000, link.href);
    return "Saved as " + link.download + ", where your browser keeps downloads.";
  }

  function load(book, text) {
    // what the file has is added to what is here; nothing that is here goes. Its words to the reader.
    var found;
    try {
      found = JSON.parse(text);
    } catch {
      found = null;
    }
    if (!found || typeof found !== "object" || found.book !== book)
      return "This file does not hold the progress of this book. Nothing was changed.";
    if (found.version !== VERSION)
      return "This file is of another version of the book. Nothing was changed.";
    var more = clean(found),
      fresh = {};
    if (stored) state = recall();
    Object.keys(more).forEach(function (part) {
      var names = Object.keys(more[part]).filter(function (name) {
        return !Object.hasOwn(state[part], name);
      });
      fresh[part] = names.length;
      names.forEach(function (name) {
        state[part][name] = more[part][name];
      });
    });
    remember();
    return (
      "Loaded. New here: " +
      [
        counted(fresh.read, "chapter") + " read",
        counted(fresh.done, "exercise") + " done",
        counted(fresh.answers, "answer"),
      ].join(", ") +
      ". What was here before is still here."
    );
  }

  function counted(n, what) {
    return n + " " + what + (n === 1 ? "" : "s");
  }

  function keep(list) {
    // the buttons on the page of all progress
    var book = list.dataset.book,
      file = list.querySelector(".reader-file"),
      told = list.querySelector(".reader-told");
    list.querySelector(".reader-save").addEventListener("click", function () {
      told.textContent = save(book);
    });
    list.querySelector(".reader-load").addEventListener("click", function () {
      file.value = "";
      file.click();
    });
    file.addEventListener("change", function () {
      var chosen = file.files[0];
      if (!chosen) return;
      if (chosen.size > 1e6) {
        told.textContent = load(book, "");
        return;
      }
      chosen.text().then(
        function (text) {
          told.textContent = load(book, text);
        },
        function () {
          told.textContent = "This file cannot be read. Nothing was changed.";
        },
      );
    });
    list.querySelector(".reader-forget").addEventListener("click", function () {
      if (!window.confirm("Forget all ticks and answers of this book?")) return;
      state = clean(EMPTY);
      remember();
      told.textContent = "All of it is forgotten.";
    });
  }

  // ---------------------------------------------------------------- the page

  function say(form, kind, text) {
    // `code` between backticks is set as code
    var verdict = form.querySelector(".reader-verdict");
    if (kind) form.setAttribute("data-verdict", kind);
    else form.removeAttribute("data-verdict");
    form
      .querySelector("input[type=text]")
      .setAttribute("aria-invalid", String(Boolean(kind) && kind !== "right"));
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
      shown = typed.trim(),
      hint = form.nextElementSibling,
      found;
    try {
      found = window.scoreBookAnswer.value(typed);
    } catch (error) {
      return say(form, "unclear", error.message);
    }
    var verdict = window.scoreBookAnswer.judge(found, test);
    if (verdict !== "right") {
      hint.open = true;
      var asked = test.asks ? ", and the number is asked " + test.asks : "";
      return say(
        form,
        verdict,
        (verdict === "close"
          ? "Close: " + shown + " is less than 10 % off" + asked
          : shown + " is not the number") + ". The hint is open below.",
      );
    }
    mark("answers", name, shown);
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
    var list = document.querySelector(".reader-progress");
    if (list) keep(list);
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

  function aside() {
    // the button that leads back to the top is away while a widget is where it stands
    var below = new Set(),
      watch = new IntersectionObserver(
        function (list) {
          list.forEach(function (e) {
            if (e.isIntersecting) below.add(e.target);
            else below.delete(e.target);
          });
          document.documentElement.toggleAttribute("data-widget-below", below.size > 0);
        },
        { rootMargin: "-85% 0px 0px 0px" },
      );
    document.querySelectorAll(".widget-host").forEach(function (w) {
      watch.observe(w);
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
  aside();
})();
