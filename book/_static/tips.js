// Previews: what a citation, an equation's number, a figure's or a term leads to, on hover, focus and tap.
// A classic script, deferred; window.sdelibTips (address → HTML) is the page's own, from book/_ext/tips.py.
(function () {
  "use strict";
  var tips = window.sdelibTips,
    tippy = window.tippy,
    article = document.querySelector("article.bd-article");
  if (!tips || !tippy || !article) return; // links are links
  var calm = matchMedia("(prefers-reduced-motion: reduce)").matches,
    finger = false, // the last press came from a finger
    seen = null; // the link whose preview was open when it came

  function fill(instance) {
    if (instance.popper.querySelector(".tip")) return;
    var tip = document.createElement("div");
    tip.className = "tip";
    tip.innerHTML = tips[instance.reference.getAttribute("href")];
    instance.setContent(tip);
  }

  article.querySelectorAll("a[href]").forEach(function (link) {
    if (!Object.hasOwn(tips, link.getAttribute("href")) || link.matches(".headerlink")) return;
    tippy(link, {
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
  });

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
    if (e.key === "Escape") tippy.hideAll();
  });
})();
