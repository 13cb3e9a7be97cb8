"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const body = document.body, told = document.getElementById("told");
  const parts = all("[data-heads]").map((element) => {
    return { element, heads: element.dataset.heads.split(" ") };
  });
  const pairs = all("[data-layers]");
  const rows = new Map(all("#interactions tr[data-heads]").map((row) => [row.dataset.heads, row]));
  const goes = new Map(all("#schedule tr[data-heads]").map((row) => [row.dataset.heads, row]));
  const groups = [...new Set(parts.filter((part) => part.heads.length > 1)
    .map((part) => part.element.dataset.heads))].map((text) => text.split(" "));
  let held = null, lit = null;

  // A part is lit if it is about all of these heads or only about some of them; who acts together
  // with them is half lit.
  function light(text) {
    if (text === lit) return;
    lit = text;
    body.classList.toggle("lit", text !== null);
    if (text === null) return;
    const chosen = text.split(" ");
    const within = (some, others) => some.every((head) => others.includes(head));
    const around = groups.filter((group) => within(chosen, group));
    const partners = new Set(around.flat());
    for (const { element, heads } of parts) {
      const on = within(chosen, heads) || within(heads, chosen);
      element.classList.toggle("on", on);
      element.classList.toggle("near", !on && heads.length === 1 && partners.has(heads[0]));
    }
    const layer = (head) => Number(/^L(\d+)/.exec(head)[1]);
    const between = new Set(around.flatMap((group) => group.flatMap((a) => group.filter(
      (b) => b !== a).map((b) => [layer(a), layer(b)].sort((x, y) => x - y).join(" ")))));
    for (const pair of pairs) pair.classList.toggle("on", between.has(pair.dataset.layers));
    mark(chosen.length === 1 ? goes.get(text) : undefined);
    told.textContent = words(text, chosen, around.length);
  }

  function words(text, chosen, count) {
    const said = [text], row = rows.get(text), gone = goes.get(text);
    if (row) {
      const [effect, low, high] = [2, 3, 4].map((i) => row.cells[i].textContent);
      said.push(`effect ${effect} [${low}, ${high}]`);
    }
    if (chosen.length === 1) said.push(count === 1 ? "1 interaction" : `${count} interactions`);
    if (gone) said.push(`goes as ${gone.dataset.gone} of ${goes.size}`);
    return said.join(" \u00b7 ");
  }

  // When a head goes, as a line in the picture of what is left.
  function mark(row) {
    for (const svg of all("svg").filter((one) => one.querySelector("[data-at]"))) {
      let line = svg.querySelector(".when");
      if (!line) {
        line = document.createElementNS("http://www.w3.org/2000/svg", "line");
        line.setAttribute("class", "when");
        svg.append(line);
      }
      const [start, end] = ["0", "100"].map((at) => {
        return svg.querySelector(`[data-at="${at}"]`).getBBox();
      });
      const share = row ? Number(row.dataset.gone) / goes.size : NaN;
      const x = start.x + share * (end.x - start.x);
      line.style.display = row ? "" : "none";
      if (!row) continue;
      for (const [name, value] of [["x1", x], ["x2", x], ["y1", start.y],
        ["y2", start.y + start.height]]) line.setAttribute(name, value);
    }
  }

  const about = (event) => event.target.closest?.("[data-heads]")?.dataset.heads ?? null;
  // Not pointerover, which also comes when rows scroll away under a mouse that rests.
  document.addEventListener("pointermove", (event) => light(about(event) ?? held));
  document.addEventListener("focusin", (event) => light(about(event) ?? held));
  document.addEventListener("click", (event) => {
    if (event.target.closest("button, input")) return;
    const text = about(event);
    held = text === held ? null : text;
    light(held);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") light((held = null));
    const row = event.target.closest?.("tbody tr");
    const way = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!row || !way) return;
    let next = row[way];
    while (next && next.hidden) next = next[way];
    if (!next) return;
    event.preventDefault();
    row.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  for (const box of all("input[data-of]")) {
    const lines = all("tbody tr", document.getElementById(box.dataset.of));
    const count = box.parentElement.querySelector("[role=status]");
    box.addEventListener("input", () => {
      const wanted = box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      for (const line of lines) {
        const text = [...line.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        line.hidden = !wanted.every((word) => text.includes(word));
        found += !line.hidden;
      }
      count.textContent = `${found.toLocaleString("en")} of ${lines.length.toLocaleString("en")} rows`;
      const exact = box.value.trim().toUpperCase();
      held = goes.has(exact) || rows.has(exact) ? exact : null;
      light(held);
    });
  }

  for (const button of all("th button")) {
    button.addEventListener("click", () => {
      const header = button.parentElement, column = header.cellIndex;
      const rising = header.getAttribute("aria-sort") !== "ascending";
      for (const other of all("th", header.parentElement)) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const table = header.closest("table").tBodies[0], sign = rising ? 1 : -1;
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y);
      };
      table.append(...[...table.rows].sort(order));
    });
  }
})();
