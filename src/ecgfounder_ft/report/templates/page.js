"use strict";
// Tables sort by a click on a head; filters, copy buttons and shades for wide tables. The page reads the same without.
const number = text => {
  const found = text.replace(/,(?=\d{3})/g, "").match(/^[<>×]?\s*([+−-]?\d+(\.\d+)?)/);
  return found ? Number(found[1].replace("−", "-")) : NaN;
};
const value = (row, column) => (row.cells[column] ? row.cells[column].firstChild || row.cells[column] : row).textContent.trim();
const plain = body => [...body.rows].every(row => !row.matches(".group") && row.cells.length === body.rows[0].cells.length
  && [...row.cells].every(cell => cell.colSpan === 1) && row.cells[0].textContent.trim() !== "");
function sortable(table) {
  const head = table.tHead, body = table.tBodies[0];
  if (!head || head.rows.length !== 1 || !body || body.rows.length < 3 || table.matches(".fixed") || !plain(body)) return;
  const total = [...body.rows].filter(row => row.matches(".total"));
  [...head.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      const rows = [...body.rows].filter(row => !total.includes(row));
      rows.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)], [m, n] = [number(x), number(y)];
        if (isNaN(m) !== isNaN(n)) return isNaN(m) ? 1 : -1;
        return down * (isNaN(m) ? x.localeCompare(y, undefined, {numeric: true}) : m - n);
      });
      body.append(...rows, ...total);
    });
  });
}
function filterable(table) {
  const field = document.createElement("input"), body = table.tBodies[0];
  field.type = "search";
  field.placeholder = "Filter rows, e.g. AFIB";
  field.setAttribute("aria-label", "Filter rows");
  table.closest(".scroll").before(field);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  });
}
function copyable(element) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  const text = element.textContent.trim();
  button.addEventListener("click", () => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    button.textContent = done ? "Copied" : "Select and copy by hand";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  element.before(button);
}
addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table").forEach(sortable);
  document.querySelectorAll("table.filter").forEach(filterable);
  document.querySelectorAll("pre, .path code").forEach(element => { if (element.textContent.trim() !== "–") copyable(element); });
  const measure = () => document.querySelectorAll(".scroll").forEach(box => {
    const wide = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("wide", wide);
    if (wide) box.tabIndex = 0; else box.removeAttribute("tabindex");
  });
  addEventListener("resize", measure);
  measure();
});
