"use strict";
// Data stands in the page as packed JSON. It is unpacked and drawn when it comes near the window, all at once before
// printing: a browser waits for no promise there, so that nothing here is asynchronous.
const TRIALS_A_PAGE = 25, PRINTED = 1000, PAPER = { width: 690, height: 0.86, letters: 150, cell: 30 }, NARROW = 640;

function unpacked(id) {
  const element = document.getElementById(id);
  const text = new TextDecoder().decode(inflated(Uint8Array.from(atob(element.textContent), (each) => each.charCodeAt(0))));
  element.remove();
  return text;
}

// RFC 1951, of a gzip member without optional fields.
function inflated(bytes) {
  const size = new DataView(bytes.buffer).getUint32(bytes.length - 4, true), out = new Uint8Array(size);
  let place = 10, held = 0, left = 0, end = 0;
  function bits(count) {
    while (left < count) { held |= bytes[place++] << left; left += 8; }
    const found = held & ((1 << count) - 1);
    held >>>= count;
    left -= count;
    return found;
  }
  function codes(lengths) {
    const counts = new Uint16Array(16), starts = new Uint16Array(17), symbols = new Uint16Array(lengths.length);
    for (const length of lengths) if (length) counts[length]++;
    for (let length = 1; length < 16; length++) starts[length + 1] = starts[length] + counts[length];
    lengths.forEach((length, symbol) => { if (length) symbols[starts[length]++] = symbol; });
    return { counts, symbols };
  }
  function symbol({ counts, symbols }) {
    let code = 0, first = 0, index = 0;
    for (let length = 1; ; length++) {
      code |= bits(1);
      if (code - counts[length] < first) return symbols[index + code - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      code <<= 1;
    }
  }
  function described() {
    const literals = bits(5) + 257, distances = bits(5) + 1, own = new Array(19).fill(0), lengths = [];
    const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    for (let at = 0, count = bits(4) + 4; at < count; at++) own[order[at]] = bits(3);
    const code = codes(own);
    while (lengths.length < literals + distances) {
      const found = symbol(code);
      if (found < 16) lengths.push(found);
      else {
        const [value, times] = found === 16 ? [lengths.at(-1), 3 + bits(2)] : [0, found === 17 ? 3 + bits(3) : 11 + bits(7)];
        for (let time = 0; time < times; time++) lengths.push(value);
      }
    }
    return [codes(lengths.slice(0, literals)), codes(lengths.slice(literals))];
  }
  function fixed() {
    const length = (at) => (at < 144 ? 8 : at < 256 ? 9 : at < 280 ? 7 : 8);
    return [codes(Array.from({ length: 288 }, (_, at) => length(at))), codes(new Array(30).fill(5))];
  }
  for (let last = 0; !last; ) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      held = left = 0;
      const length = bytes[place] | (bytes[place + 1] << 8);
      out.set(bytes.subarray(place + 4, place + 4 + length), end);
      place += 4 + length;
      end += length;
      continue;
    }
    const [literals, distances] = kind === 1 ? fixed() : described();
    for (let found = symbol(literals); found !== 256; found = symbol(literals)) {
      if (found < 256) { out[end++] = found; continue; }
      const step = found - 257, more = step < 8 || step === 28 ? 0 : (step >> 2) - 1;
      const length = step === 28 ? 258 : (step < 8 ? step : (4 + (step & 3)) << more) + 3 + bits(more);
      const far = symbol(distances), extra = far < 4 ? 0 : (far >> 1) - 1;
      const distance = (far < 4 ? far : (2 + (far & 1)) << extra) + 1 + bits(extra);
      for (let time = 0; time < length; time++, end++) out[end] = out[end - distance];
    }
  }
  return out;
}

function plotly() {
  if (window.Plotly) return;
  const script = document.createElement("script");
  script.textContent = unpacked("data-plotly");
  document.head.append(script);
}

const figures = {};
function figure(id) {
  return (figures[id] = figures[id] || JSON.parse(unpacked(id)));
}

function draw(place) {
  if (place.dataset.shown === place.dataset.from) return;
  plotly();
  const { data, layout, title, notes } = figure(place.dataset.from), section = place.closest("section");
  section.querySelector("h2").textContent = title;
  section.querySelector(".notes").textContent = notes;
  const looks = { ...layout };
  if (place.clientWidth < NARROW) {
    looks.legend = { ...layout.legend, orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "bottom" };
    looks.margin = { ...layout.margin, l: 54, r: 12, t: (layout.margin.t || 0) + (layout.showlegend === false ? 0 : 40) };
  }
  place.dataset.shown = place.dataset.from;
  Plotly.react(place, data, looks, { responsive: true, displaylogo: false });
  place.dataset.drawn = "yes";
}

const places = [...document.querySelectorAll(".picture")];
const near = new IntersectionObserver((seen) => {
  for (const each of seen) if (each.isIntersecting) { near.unobserve(each.target); draw(each.target); }
}, { rootMargin: "200px" });
for (const choice of document.querySelectorAll(".choice select")) {
  choice.addEventListener("change", () => {
    const place = choice.closest("section").querySelector(".picture");
    place.dataset.from = choice.value;
    draw(place);
  });
}

const said = (value) => (value === null ? "" : String(value));
const plain = (count) => count.toLocaleString("en");

// The table: what is shown on the screen, and what goes on paper.
function trials() {
  const data = JSON.parse(unpacked("data-table"));
  const count = data.columns.length && data.values[0].length;
  const numeric = data.values.map((column) => column.every((each) => each === null || typeof each === "number"));
  let rows = Array.from({ length: count }, (_, row) => row), sorted = -1, turned = false, first = 0;
  const table = document.getElementById("table"), where = document.getElementById("where");
  const left = [];
  if (count < data.trials) left.push(`the first ${plain(count)} of ${plain(data.trials)} trials`);
  if (data.left > 0) left.push(`${data.left} more columns are left out`);
  document.getElementById("left").textContent = left.join(", ");

  function head(column) {
    const cell = document.createElement("th");
    cell.textContent = data.columns[column];
    if (numeric[column]) cell.className = "number";
    return cell;
  }

  function line(row, columns) {
    const made = document.createElement("tr");
    for (const column of columns) {
      const cell = document.createElement("td"), value = data.values[column][row];
      cell.textContent = said(value);
      if (numeric[column]) cell.className = "number";
      if (data.columns[column] === data.coloured) cell.style.color = data.colours[value] || "";
      made.append(cell);
    }
    return made;
  }

  function show() {
    const columns = [...data.columns.keys()], titles = document.createElement("tr");
    for (const column of columns) {
      const cell = head(column);
      if (sorted === column) cell.textContent += turned ? " ▼" : " ▲";
      cell.addEventListener("click", () => sort(column));
      titles.append(cell);
    }
    table.replaceChildren(titles, ...rows.slice(first, first + TRIALS_A_PAGE).map((row) => line(row, columns)));
    const last = Math.min(first + TRIALS_A_PAGE, rows.length);
    where.textContent = rows.length ? `${plain(first + 1)} to ${plain(last)} of ${plain(rows.length)}` : "no trial";
    document.getElementById("back").disabled = first === 0;
    document.getElementById("forth").disabled = last >= rows.length;
  }

  function sort(column) {
    turned = sorted === column && !turned;
    sorted = column;
    const values = data.values[column], sign = turned ? -1 : 1;
    rows.sort((a, b) => {
      const one = values[a], two = values[b];
      if (one === null || two === null) return (one === null) - (two === null) || a - b;
      const both = numeric[column] ? one - two : said(one) < said(two) ? -1 : said(one) > said(two) ? 1 : 0;
      return sign * both || a - b;
    });
    first = 0;
    show();
  }

  // As many columns in a table as a sheet is wide; the trial is the first one of each.
  function sheets(printed) {
    const found = [];
    let room = 0;
    for (const column of data.columns.keys()) {
      const longest = Math.max(data.columns[column].length, ...printed.map((row) => said(data.values[column][row]).length));
      const width = Math.min(longest, PAPER.cell) + 3;
      if (column && (room < width || !found.length)) {
        found.push([0]);
        room = PAPER.letters - 12;
      }
      if (column) found.at(-1).push(column);
      room -= width;
    }
    return found;
  }

  function toPaper() {
    const printed = rows.slice(0, PRINTED), note = document.createElement("p");
    const all = printed.length === data.trials;
    note.textContent = `${all ? "all" : `${plain(printed.length)} of`} ${plain(data.trials)} trials` + (data.left > 0 ? `, ${data.left} columns are left out` : "");
    const tables = sheets(printed).map((columns) => {
      const made = document.createElement("table"), body = document.createElement("tbody");
      const titles = made.createTHead().insertRow();
      titles.append(...columns.map(head));
      body.append(...printed.map((row) => line(row, columns)));
      made.append(body);
      for (const cell of made.querySelectorAll("th, td")) cell.classList.toggle("long", cell.textContent.length > PAPER.cell);
      return made;
    });
    document.getElementById("paper").replaceChildren(note, ...tables);
  }

  document.getElementById("filter").addEventListener("input", (event) => {
    const text = event.target.value.toLowerCase();
    const all = Array.from({ length: count }, (_, row) => row);
    rows = text ? all.filter((row) => data.values.some((column) => said(column[row]).toLowerCase().includes(text))) : all;
    sorted = -1;
    first = 0;
    show();
  });
  document.getElementById("back").addEventListener("click", () => { first = Math.max(0, first - TRIALS_A_PAGE); show(); });
  document.getElementById("forth").addEventListener("click", () => { first += TRIALS_A_PAGE; show(); });
  show();
  return toPaper;
}

const tableToPaper = trials();
places.forEach((place) => near.observe(place));

function toSize(place, size) {
  place.style.height = `${size.height}px`;
  Plotly.relayout(place, size);
}

let closed = null;
function toPaper() {
  if (closed) return;
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach((each) => { each.open = true; });
  tableToPaper();
  for (const place of places) {
    draw(place);
    toSize(place, { width: PAPER.width, height: Math.round(PAPER.height * figure(place.dataset.from).layout.height) });
  }
}
function toScreen() {
  if (!closed) return;
  closed.forEach((each) => { each.open = false; });
  closed = null;
  document.getElementById("paper").replaceChildren();
  for (const place of places) toSize(place, { width: null, height: figure(place.dataset.from).layout.height, autosize: true });
}
window.addEventListener("beforeprint", toPaper);
window.addEventListener("afterprint", toScreen);
window.matchMedia("print").addEventListener("change", (event) => (event.matches ? toPaper() : toScreen()));
