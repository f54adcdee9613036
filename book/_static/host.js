// Shows anywidgets on a page without a kernel, in place of require.js and the Jupyter widget manager.
// A classic script: browsers refuse module files from file://. What draws the book's own widgets is in window.sdelib,
// by the view of their spec (sdelib/widgets/bundle.py); another anywidget brings its module as text.
(function () {
  "use strict";
  var STATE = "application/vnd.jupyter.widget-state+json",
    VIEW = "application/vnd.jupyter.widget-view+json";
  var modules = new Map(),
    models = new Map(),
    styles = new Set();

  function makeModel(state) {
    // what a widget may expect of its model; no `send`, so it knows that no kernel listens
    var data = Object.assign({}, state),
      listeners = {};
    function emit(name) {
      (listeners[name] || []).slice().forEach(function (call) {
        call();
      });
    }
    return {
      get: function (key) {
        return data[key];
      },
      set: function (key, value) {
        var changes = typeof key === "object" ? key : { [key]: value };
        Object.assign(data, changes);
        Object.keys(changes).forEach(function (k) {
          emit("change:" + k);
        });
        emit("change");
      },
      on: function (names, call) {
        names.split(/\s+/).forEach(function (n) {
          (listeners[n] = listeners[n] || []).push(call);
        });
      },
      off: function (names, call) {
        (names ? names.split(/\s+/) : Object.keys(listeners)).forEach(function (n) {
          listeners[n] = call
            ? (listeners[n] || []).filter(function (c) {
                return c !== call;
              })
            : [];
        });
      },
      save_changes: function () {},
    };
  }

  function load(text) {
    if (!modules.has(text)) {
      var address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      modules.set(
        text,
        import(address).then(function (m) {
          URL.revokeObjectURL(address);
          return typeof m.default === "function" ? m.default() : m.default || m;
        }),
      );
    }
    return modules.get(text);
  }

  function notice(el, text) {
    var p = document.createElement("p");
    p.className = "widget-notice";
    p.setAttribute("role", "note");
    p.textContent = text;
    el.replaceChildren(p);
  }

  async function show(script, states) {
    var host = script.previousElementSibling,
      el = document.createElement("div"),
      id = JSON.parse(script.textContent).model_id,
      entry = states[id];
    if (!host || !host.matches(".widget-host")) {
      // book/_ext/stills.py makes one
      host = document.createElement("div");
      host.className = "widget-host";
      script.before(host);
    }
    var still = host.querySelector(".sde-still");
    if (still) {
      // the picture stays until the widget has drawn, or says why not
      el.className = "widget-waiting";
      new MutationObserver(function (_, me) {
        if (!el.querySelector("[data-ready], [data-error], .widget-notice")) return;
        me.disconnect();
        still.remove();
        el.className = "";
      }).observe(el, {
        subtree: true,
        childList: true,
        attributeFilter: ["data-ready", "data-error"],
      });
    }
    host.append(el);
    var own = entry && entry.state.spec && (window.sdelib || {})[entry.state.spec.view];
    if (!own && !(entry && entry.state._esm)) {
      return notice(el, "This control needs a kernel: run the chapter to use it.");
    }
    if (entry.state._css && !styles.has(entry.state._css)) {
      styles.add(entry.state._css);
      document.head.appendChild(document.createElement("style")).textContent = entry.state._css;
    }
    try {
      var widget = own ? { render: own } : await load(entry.state._esm);
      if (!models.has(id)) {
        models.set(id, makeModel(entry.state));
        if (widget.initialize) await widget.initialize({ model: models.get(id) });
      }
      await widget.render({ model: models.get(id), el: el });
    } catch (error) {
      console.error(error);
      notice(el, "This widget could not be shown: " + error.message);
    }
  }

  function start() {
    var states = {};
    document.querySelectorAll('script[type="' + STATE + '"]').forEach(function (s) {
      Object.assign(states, JSON.parse(s.textContent).state);
    });
    document.querySelectorAll('script[type="' + VIEW + '"]').forEach(function (s) {
      show(s, states);
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
