"use strict";

// Sorting: a click on a heading sorts by its column, another one the other way round, a third restores the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows].at(-1).cells;
  [...headings].forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort")];
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", next);
      body.append(...(next === "none" ? original : sorted(original, column, next === "descending")));
    });
  });
}

// Cells without a value come last in either order; equal ones keep theirs.
function sorted(rows, column, descending) {
  const keyed = rows.map((row) => ({ row, key: keyOf(row.cells[column]) }));
  keyed.sort((one, other) => {
    if (one.key === null || other.key === null) return (one.key === null) - (other.key === null);
    const order = compare(one.key, other.key);
    return descending ? -order : order;
  });
  return keyed.map((each) => each.row);
}

function keyOf(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  return text === "" || text === "–" ? null : text;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), undefined, { numeric: true });
}

// Hovering: what an element tells stands in the data by its id; pointing, focusing and tapping show it.
const { tips } = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
let shown = null;

for (const id of Object.keys(tips)) document.getElementById(id)?.classList.add("marked");

function told(target) {
  let element = target instanceof Element ? target : null;
  while (element && !(element.id && Object.hasOwn(tips, element.id))) element = element.parentElement;
  return element;
}

function show(element, x, y) {
  if (shown !== element) {
    hide();
    shown = element;
    tip.textContent = tips[element.id];
    tip.hidden = false;
    element.setAttribute("aria-describedby", "tip");
  }
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(x + 12, document.documentElement.clientWidth - width - 8);
  const below = y + 16 + height < window.innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, below ? y + 16 : y - height - 12)}px`;
}

function hide() {
  if (shown) shown.removeAttribute("aria-describedby");
  shown = null;
  tip.hidden = true;
}

function showBeside(element) {
  const box = element.getBoundingClientRect();
  show(element, box.left, box.bottom - 12);
}

document.addEventListener("pointermove", (event) => {
  if (event.pointerType === "touch") return;
  const element = told(event.target);
  if (element) show(element, event.clientX, event.clientY);
  else hide();
});
document.addEventListener("click", (event) => {
  const element = told(event.target);
  if (element) show(element, event.clientX, event.clientY);
  else hide();
});
document.addEventListener("focusin", (event) => {
  const element = told(event.target);
  if (element && element.matches(":focus-visible")) showBeside(element);
  else if (!element) hide();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
document.addEventListener("scroll", () => { if (shown && !shown.matches(":focus-visible")) hide(); }, true);
