"use strict";
// The table of the ladder is sorted by its columns: up, down, and back to the order of climbing.
const table = document.querySelector("table.ladder");
const rows = [...table.tBodies[0].rows];
const heads = [...table.tHead.rows[0].cells];
const turn = { none: "ascending", ascending: "descending", descending: "none" };

function compare(a, b) {
  if (a === b) return 0;
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}

function sort(head, order) {
  const at = heads.indexOf(head);
  const value = (row) => row.cells[at].dataset.value;
  const sign = order === "descending" ? -1 : 1;
  const empty = (row) => value(row) === "";
  const by = (a, b) => empty(a) - empty(b) || sign * compare(value(a), value(b));
  table.tBodies[0].append(...(order === "none" ? rows : [...rows].sort(by)));
  for (const other of heads) if (other.ariaSort) other.ariaSort = other === head ? order : "none";
  table.classList.toggle("in-order", order === "none");
  document.getElementById("sorted").textContent =
    order === "none" ? "In climbing order." : `Sorted by ${head.textContent.toLowerCase()}, ${order}.`;
}

for (const head of heads.filter((cell) => "sort" in cell.dataset)) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  head.ariaSort = "none";
  button.addEventListener("click", () => sort(head, turn[head.ariaSort]));
}

// What does not scroll at this width is no stop for the keyboard.
const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll(".scroll, pre")) watch.observe(box);
