// Previews: what a citation, an equation's number, a figure's or a term leads to, on hover, focus and tap.
// A classic script, deferred. What it needs is loaded when the reader first points, taps or presses a key in the text:
// Popper, Tippy, and window.sdelibTips (address → HTML), which is the page's own, from book/_ext/tips.py.
(function () {
  "use strict";
  var me = document.currentScript,
    article = document.querySelector("article.bd-article"),
    signs = ["pointerover", "pointerdown", "focusin"],
    files = ["vendor/popper/popper.min.js", "vendor/tippy/tippy.umd.min.js", me.dataset.tips],
    finger = false, // the last press came from a finger
    seen = null; // the link whose preview was open when it came
  if (!article || !me.dataset.tips) return;

  function load() {
    signs.forEach(function (name) {
      article.removeEventListener(name, load);
    });
    next();
  }
  function next() {
    var file = files.shift();
    if (!file) return wake();
    var script = document.createElement("script");
    script.src = new URL(file, me.src).href;
    script.onload = next; // without one of them links are links
    document.head.append(script);
  }

  function fill(instance) {
    if (instance.popper.querySelector(".tip")) return;
    var tip = document.createElement("div");
    tip.className = "tip";
    tip.innerHTML = window.sdelibTips[instance.reference.getAttribute("href")];
    instance.setContent(tip);
  }

  function wake() {
    var calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    article.querySelectorAll("a[href]").forEach(function (link) {
      var known = Object.hasOwn(window.sdelibTips, link.getAttribute("href"));
      if (!known || link.matches(".headerlink")) return;
      var tip = window.tippy(link, {
        content: "",
        appendTo: article,
        arrow: false,
        aria: { content: "describedby", expanded: false },
        delay: [250, 100],
        duration: calm ? 0 : [120, 80],
        interactive: true,
        maxWidth: 480,
        onShow: fill,
        placement: "top",
        theme: "book",
      });
      if (!finger && link.matches(":hover, :focus-visible")) tip.show(); // it was asked for meanwhile
    });
  }

  function shown(target) {
    var link = target.closest && target.closest("a");
    return link && link._tippy ? link : null;
  }
  document.addEventListener(
    "pointerdown",
    function (e) {
      var link = shown(e.target);
      finger = e.pointerType === "touch";
      seen = link && link._tippy.state.isVisible ? link : null;
    },
    true,
  );
  // The first tap previews, the second follows.
  document.addEventListener(
    "click",
    function (e) {
      var link = shown(e.target);
      if (!link || !finger || seen === link) return;
      e.preventDefault();
      link._tippy.show();
    },
    true,
  );
  document.addEventListener("keydown", function (e) {
    if (e.key === "Escape" && window.tippy) window.tippy.hideAll();
  });
  signs.forEach(function (name) {
    article.addEventListener(name, load);
  });
})();
