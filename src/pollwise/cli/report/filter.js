"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const tools = at("tools");
  if (!tools) return;
  const text = at("text"), state = at("state"), endpoint = at("endpoint"), found = at("found"), none = at("none");
  const rows = Array.from(at("jobs").tBodies[0].rows);
  let texts = null;
  const plain = (words) => words.toLowerCase().split(/\s+/).filter(Boolean);
  const apply = () => {
    texts = texts || rows.map((row) => plain(Array.from(row.cells, (cell) => cell.textContent).join(" ")).join(" "));
    const words = plain(text.value);
    let shown = 0;
    rows.forEach((row, index) => {
      const fits = (!state.value || row.dataset.state === state.value)
        && (!endpoint || !endpoint.value || row.dataset.endpoint === endpoint.value)
        && words.every((word) => texts[index].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    const all = rows.length.toLocaleString("en");
    const filtered = state.value || (endpoint && endpoint.value) || words.length;
    found.textContent = filtered ? `${shown.toLocaleString("en")} of the ${all} listed jobs match.` : "";
    none.hidden = shown > 0;
  };
  const clear = () => {
    text.value = state.value = "";
    if (endpoint) endpoint.value = "";
    apply();
  };
  let waiting = 0;
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 80);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
  });
  [state, endpoint].forEach((choice) => choice && choice.addEventListener("change", apply));
  at("clear").addEventListener("click", () => {
    clear();
    text.focus();
  });
  document.querySelectorAll("button[data-state]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      clear();
      state.value = button.dataset.state;
      text.value = button.dataset.text;
      apply();
      at("list").scrollIntoView();
      text.focus({ preventScroll: true });
    });
  });
  tools.hidden = false;
  apply();
})();
