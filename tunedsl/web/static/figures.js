// Figures: the JSON that the server draws, shown by plotly in the colours of the page.
import { get, runPath } from "./api.js";
import { h } from "./dom.js";
import { unpack } from "./parallel.js";
import { KEYS, chooseByKeys, pointsOf } from "./points.js";
import { addPlotly } from "./requests.js";

const shown = new Set(), waiting = new Set(), NARROW = 640;
let loading = null;

function plotly() {
  loading ??= (async () => {
    const append = document.head.appendChild;
    // The library's maps, which no figure uses, write rules into the page, which the security policy forbids.
    document.head.appendChild = (node) => (node.tagName === "STYLE" ? node : append.call(document.head, node));
    try { await addPlotly(); } finally { delete document.head.appendChild; }
    return window.Plotly;
  })();
  return loading;
}

// The library sets some styles as attributes, which the security policy forbids: they become properties instead.
const setAttribute = SVGElement.prototype.setAttribute;
SVGElement.prototype.setAttribute = function set(name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// The report's figures are drawn on white: here lines, texts and grids take the page's colours.
function dressed(figure, changes, width) {
  const layout = structuredClone(figure.layout), data = structuredClone(figure.data);
  const ink = colour("--ink"), grid = colour("--line");
  delete layout.template;
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { family: "system-ui, sans-serif", size: 13, ...layout.font, color: ink };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: colour("--panel"), bordercolor: grid, font: { color: ink } };
  layout.legend = { ...layout.legend, bgcolor: "rgba(0,0,0,0)" };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("--quiet"), activecolor: ink };
  for (const name of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(name)) {
      layout[name] = { zeroline: false, automargin: true, ...layout[name], gridcolor: grid, linecolor: grid };
    }
  }
  for (const axis of ["xaxis", "yaxis"]) layout[axis] ??= { gridcolor: grid, zeroline: false, automargin: true };
  for (const trace of data) {
    if (trace.line?.color === "#111111") trace.line.color = ink;
    if (trace.marker?.color === "#111111") trace.marker.color = ink;
    if (trace.marker?.line?.color === "white") trace.marker.line.color = colour("--panel");
    if (isDark()) lighten(trace);
    // the library would write this in a box of its own, whose colours fit no dark page
    if (trace.hovertemplate) trace.hovertemplate = trace.hovertemplate.replace(/<extra>(.+)<\/extra>/, "<br>$1<extra></extra>");
  }
  if (width < NARROW) {
    stack(layout, data);
    layout.font.size = 11;
    layout.legend = { ...layout.legend, orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "bottom" };
    layout.margin = { ...layout.margin, l: 54, r: 12, t: (layout.margin?.t ?? 0) + (layout.showlegend === false ? 0 : 40) };
  }
  changes?.(data, layout);
  return { data, layout };
}

// On a dark ground, what is faint or dark on white; of a scale from light to dark, the reverse.
const LATER = "#08306B", VIRIDIS = "#440154", LIGHTER = { "#C8CCD2": "#647386", "#0072B2": "#3d9bdc", "rgba(0,114,178,0.4)": "rgba(98,181,232,0.5)", "rgba(60,60,60,0.35)": "rgba(200,208,220,0.5)" };
function lighten(trace) {
  for (const part of [trace.line, trace.marker]) if (part && LIGHTER[part.color]) part.color = LIGHTER[part.color];
  if (trace.marker?.colorscale?.at(-1)[1] === LATER) trace.marker.colorscale = [[0, "#3d6f9f"], [1, "#e3f1ff"]];
  else if (trace.marker?.colorscale?.[0][1] === VIRIDIS) trace.marker.reversescale = !trace.marker.reversescale;
  for (const part of [trace, trace.marker]) if (part?.opacity < 1) part.opacity = Math.min(1, 1.6 * part.opacity);
}

// On a phone, plots that are next to each other are one below the other.
function stack(layout, data) {
  const pairs = [...new Set(data.map((trace) => `${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}`))].map((pair) => pair.split(" ").map((name) => layout[`${name[0]}axis${name.slice(1)}`]));
  if (pairs.some((pair) => pair.includes(undefined)) || new Set(pairs.map(([x]) => x.domain?.[0] ?? 0)).size < 2) return;
  const titles = pairs.map(([, y]) => y.title?.text).filter(Boolean), share = 1 / pairs.length;
  pairs.forEach(([x, y], place) => {
    x.domain = [0, 1];
    y.domain = [1 - (place + 0.72) * share, 1 - place * share];
    Object.assign(y, { showticklabels: true, title: { text: y.title?.text || titles[0] || "" } });
  });
  layout.height = 60 + 230 * pairs.length;
  for (const { marker } of data) if (marker?.colorbar) marker.showscale = false;
}

async function draw(view) {
  const library = await plotly();
  if (!view.place.isConnected || !view.figure) return;
  const { data, layout } = dressed(view.figure, view.changes, view.place.clientWidth);
  view.place.style.height = `${layout.height ?? 420}px`;
  await library.react(view.place, data, layout, { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"] });
  view.place.dataset.drawn = "yes";
  if (view.picked) openTrials(view, data);
}

// The points of trials open them.
function openTrials(view, data) {
  view.points = pointsOf(data, unpack);
  if (view.points.size) view.place.tabIndex = 0; else view.place.removeAttribute("tabindex");
  if (view.points.size) view.place.setAttribute("aria-description", KEYS);
  if (view.heard) return;
  view.heard = true;
  const trialOf = (event) => event.points.map(({ customdata }) => customdata).find(Number.isInteger);
  view.place.on("plotly_click", (event) => { if (trialOf(event) !== undefined) view.picked(trialOf(event)); });
  view.place.on("plotly_hover", (event) => view.place.classList.toggle("opens", trialOf(event) !== undefined));
  view.place.on("plotly_unhover", () => view.place.classList.remove("opens"));
  view.place.after(chooseByKeys(view.place, {
    trials: () => [...view.points.keys()], open: view.picked,
    point(trial) {
      if (trial === null) { if (shown.has(view)) window.Plotly.Fx.unhover(view.place); return ""; }
      const { subplot, ...point } = view.points.get(trial);
      window.Plotly.Fx.hover(view.place, [point], subplot);
      return trial;
    },
  }));
}

export function restyle() {
  for (const view of shown) draw(view);
}

// A figure with its title, its notes and its options. `query` gives the options of a request, `changes` dresses it.
export function figureBox({ title = "", tools = [], changes = null, picked = null, hidden = false } = {}) {
  const heading = h("h2", {}, title), notes = h("p", { class: "notes" }), place = h("div", { class: "figure" });
  place.setAttribute("role", "figure");
  const box = h("section", { class: "card" }, h("div", { class: "cardhead" }, heading, h("span", { class: "grow" }), tools), notes, hidden ? null : place);
  const view = { place, changes, picked, figure: null, heard: false, points: new Map() };
  shown.add(view);
  return {
    box, place, view,
    show(figure) {
      heading.textContent = figure.title || title;
      notes.textContent = figure.notes ?? "";
      notes.className = "notes";
      place.hidden = false;
      place.setAttribute("aria-label", `${figure.title || title}. ${figure.notes ?? ""}`);
      view.figure = figure;
      return draw(view);
    },
    wait() { notes.textContent = "Drawing …"; },
    refuse(error) {
      heading.textContent = title;
      notes.textContent = error.message;
      place.hidden = true;
    },
    redraw() { draw(view); },
    end() { shown.delete(view); if (place.dataset.drawn) window.Plotly?.purge(place); },
  };
}

// A figure that is asked for when it comes near the window, and again when the run has changed.
export function liveFigure(run, kind, settings = {}) {
  const made = figureBox(settings);
  let known = -1, near = false, wanted = -1, busy = false, query = settings.query ?? {};
  const ask = async () => {
    if (!near || busy || wanted === known) return;
    busy = true;
    if (!made.view.figure) made.wait();
    const version = wanted;
    try {
      const figure = await get(view.path, query);
      if (figure.nothing) throw new Error(figure.nothing);
      await (settings.draw ? settings.draw(figure, made) : made.show(figure));
      settings.seen?.(figure, view);
    } catch (error) { made.refuse(error); }
    known = version;
    busy = false;
    if (wanted !== known) setTimeout(ask, 1000);
  };
  const watch = new IntersectionObserver((entries) => {
    near = entries.at(-1).isIntersecting;
    ask();
  }, { rootMargin: "300px" });
  watch.observe(made.box);
  const now = () => { near = true; ask(); };
  waiting.add(now);
  const path = runPath(run, "figures", kind), view = {
    ...made, path,
    update(version) { wanted = version; ask(); },
    ask(next) { query = { ...query, ...next }; known = -1; ask(); },
    end() { watch.disconnect(); waiting.delete(now); made.end(); },
  };
  return view;
}

// Asks for the figures that are not near the window.
export function drawAll() {
  for (const now of waiting) now();
}

export function choice(label, options, chosen, changed) {
  if (options.length < 2) return null;
  const select = h("select", { "aria-label": label }, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  select.addEventListener("change", () => changed(select.value));
  return h("label", { class: "choice" }, h("span", {}, label), select);
}
