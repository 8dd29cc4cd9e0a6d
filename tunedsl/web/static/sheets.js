// The table of trials on paper: as many columns in a table as a sheet is wide, the trial first in each.
import { h } from "./dom.js";

const MAX_ROWS = 1000, LETTERS = 150, MAX_CELL = 30;

// `text` gives a cell as text; `columns` are pairs of a place in the rows and a name, the first one the trial's.
export function sheets(rows, columns, text) {
  const printed = rows.slice(0, MAX_ROWS), found = [], [first, ...others] = columns;
  let room = 0;
  for (const [at, name] of others) {
    const longest = Math.max(name.length, ...printed.map((row) => text(row[at]).length)), width = Math.min(longest, MAX_CELL) + 3;
    if (room < width) {
      found.push([first]);
      room = LETTERS - 12;
    }
    found.at(-1).push([at, name]);
    room -= width;
  }
  const cell = (kind, content, value) => h(kind, { class: typeof value === "number" ? "number" : content.length > MAX_CELL ? "long" : null }, content);
  return [
    h("p", {}, `${printed.length < rows.length ? `${printed.length.toLocaleString("en")} of` : "all"} ${rows.length.toLocaleString("en")} trials`),
    found.map((each) => h("table", {}, h("thead", {}, h("tr", {}, each.map(([, name]) => cell("th", name)))),
      h("tbody", {}, printed.map((row) => h("tr", {}, each.map(([at]) => cell("td", text(row[at]), row[at]))))))),
  ];
}
