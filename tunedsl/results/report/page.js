"use strict";
// Data stands in the page as packed JSON; a picture is unpacked and drawn when it comes near the window.
async function unpacked(id) {
  const element = document.getElementById(id);
  const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  element.remove();
  return text;
}

let library;
function plotly() {
  library = library || unpacked("data-plotly").then((code) => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
  });
  return library;
}

async function draw(place) {
  if (place.dataset.drawn) return;
  place.dataset.drawn = "soon";
  await plotly();
  const figure = JSON.parse(await unpacked(place.dataset.from));
  await Plotly.newPlot(place, figure.data, figure.layout, { responsive: true, displaylogo: false });
  place.dataset.drawn = "yes";
}

const places = [...document.querySelectorAll(".picture")];
const near = new IntersectionObserver((seen) => {
  for (const each of seen) if (each.isIntersecting) { near.unobserve(each.target); draw(each.target); }
}, { rootMargin: "200px" });
window.addEventListener("beforeprint", () => places.forEach(draw));

const PAGE = 25;
async function trials() {
  const data = JSON.parse(await unpacked("data-table"));
  const count = data.columns.length && data.values[0].length;
  const numeric = data.values.map((column) => column.every((each) => each === null || typeof each === "number"));
  let rows = Array.from({ length: count }, (_, row) => row), sorted = -1, turned = false, first = 0;
  const table = document.getElementById("table"), where = document.getElementById("where");
  const said = (value) => (value === null ? "" : String(value));
  const left = [];
  if (count < data.trials) left.push(`the first ${count.toLocaleString("en")} of ${data.trials.toLocaleString("en")} trials`);
  if (data.left > 0) left.push(`${data.left} more columns are left out`);
  document.getElementById("left").textContent = left.join(", ");

  function show() {
    const head = document.createElement("tr");
    data.columns.forEach((name, column) => {
      const cell = document.createElement("th");
      cell.textContent = name + (sorted === column ? (turned ? " ▼" : " ▲") : "");
      cell.addEventListener("click", () => sort(column));
      if (numeric[column]) cell.className = "number";
      head.append(cell);
    });
    const body = rows.slice(first, first + PAGE).map((row) => {
      const line = document.createElement("tr");
      data.columns.forEach((name, column) => {
        const cell = document.createElement("td"), value = data.values[column][row];
        cell.textContent = said(value);
        if (numeric[column]) cell.className = "number";
        if (name === "status") cell.style.color = data.colours[value] || "";
        line.append(cell);
      });
      return line;
    });
    table.replaceChildren(head, ...body);
    const last = Math.min(first + PAGE, rows.length);
    where.textContent = rows.length ? `${first + 1} to ${last} of ${rows.length.toLocaleString("en")}` : "no trial";
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

  document.getElementById("filter").addEventListener("input", (event) => {
    const text = event.target.value.toLowerCase();
    const all = Array.from({ length: count }, (_, row) => row);
    rows = text ? all.filter((row) => data.values.some((column) => said(column[row]).toLowerCase().includes(text))) : all;
    sorted = -1;
    first = 0;
    show();
  });
  document.getElementById("back").addEventListener("click", () => { first = Math.max(0, first - PAGE); show(); });
  document.getElementById("forth").addEventListener("click", () => { first += PAGE; show(); });
  show();
}
trials().finally(() => places.forEach((place) => near.observe(place)));
