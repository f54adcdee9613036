import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  { ignores: [".venv/", "_build/", "book/_static/vendor/", "build/", "dist/"] },
  {
    files: ["sdelib/widgets/*.js"],
    languageOptions: { globals: globals.browser },
  },
  {
    files: ["book/_static/*.js"],
    languageOptions: { sourceType: "script", globals: globals.browser },
  },
  {
    files: ["book/_static/*.worker.js"],
    languageOptions: { sourceType: "module", globals: globals.worker },
  },
  {
    files: ["**/*.mjs"],
    languageOptions: { globals: globals.node },
  },
];
