// Parallel coordinates, drawn on a canvas from the same figure as the report's; brushes on its axes pick trials.
// The library's own needs WebGL and code made from text, which this page's security policy forbids.
import { fill, h } from "./dom.js";
import { KEYS, chooseByKeys } from "./points.js";

const DARKEST = "#0B1D51", DIM = "#35507a";  // on a dark ground the worst lines stay visible
const TOP = 46, BOTTOM = 26, LEFT = 78, RIGHT = 96, GRAB = 14, NEAR = 6;

function shade(scale, share) {
  let place = 1;
  while (place < scale.length - 1 && scale[place][0] < share) place++;
  const [from, one] = scale[place - 1], [to, two] = scale[place], part = Math.max(0, Math.min(1, (share - from) / (to - from || 1)));
  const mix = [1, 3, 5].map((at) => {
    const a = parseInt(one.slice(at, at + 2), 16), b = parseInt(two.slice(at, at + 2), 16);
    return Math.round(a + (b - a) * part);
  });
  return `rgb(${mix.join(",")})`;
}

const plain = (text) => String(text).replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&#37;/g, "%").replace(/&amp;/g, "&");

// `picked` receives the numbers of the trials inside all brushes, or null without a brush.
export function parallelPlot(place, { picked, open, dark }) {
  const canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": `Lines of trials. ${KEYS}` }), tip = h("div", { class: "tip", hidden: true }), live = h("span", { class: "hidden", role: "status" }), box = h("div", { class: "parallel" }, canvas, tip);
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Parallel coordinates: drag along an axis to pick trials" }, box, live);
  const byKeys = chooseByKeys(canvas, { trials: () => trials.filter((_, row) => inside(row)).sort((a, b) => a - b), open, point: (trial) => point(trials.indexOf(trial)) });
  fill(place, scroll, byKeys);
  let axes = [], lines = [], trials = [], names = [], pointed = -1, colours = [], brushes = new Map(), drag = null, grabbed = false, height = 420;

  function take(figure) {
    const [trace] = figure.data, { line } = trace, decode = (values) => unpack(values);
    [trials, names, pointed, tip.hidden] = [decode(trace.customdata), trace.ids, -1, true];
    axes = trace.dimensions.map((dimension) => {
      const values = decode(dimension.values), finite = values.filter(Number.isFinite);
      const ticks = decode(dimension.tickvals ?? []), texts = dimension.ticktext ?? ticks.map(String);
      let [low, high] = dimension.range ?? [Math.min(...finite, ...ticks), Math.max(...finite, ...ticks)];
      if (!(high > low)) { low -= 0.5; high += 0.5; }
      return { label: plain(dimension.label), values, ticks, texts, low, high };
    });
    const values = decode(line.color), scale = line.colorscale.map(([at, name]) => [line.reversescale ? 1 - at : at, name]).sort((a, b) => a[0] - b[0]);
    const turned = dark() ? scale.map(([at], place) => [at, scale[scale.length - 1 - place][1]]).map(([at, name]) => [at, name === DARKEST ? DIM : name]) : scale;
    colours = values.map((value) => (Number.isFinite(value) ? shade(turned, (value - line.cmin) / (line.cmax - line.cmin || 1)) : "#888888"));
    lines = values.map((_, row) => row);
    brushes = new Map([...brushes].filter(([at]) => at < axes.length));
    draw();
  }

  const xOf = (at, width) => (axes.length < 2 ? width / 2 : LEFT + (at * (width - LEFT - RIGHT)) / (axes.length - 1));
  const yOf = (axis, value) => TOP + (1 - (value - axis.low) / (axis.high - axis.low)) * (height - TOP - BOTTOM);
  const valueAt = (axis, y) => axis.low + (1 - (y - TOP) / (height - TOP - BOTTOM)) * (axis.high - axis.low);
  const axisAt = (x, width) => axes.findIndex((_, place) => Math.abs(xOf(place, width) - x) < GRAB);
  const inside = (row) => [...brushes].every(([at, [low, high]]) => axes[at].values[row] >= low && axes[at].values[row] <= high);

  function draw() {
    const width = Math.max(scroll.clientWidth || 600, axes.length * 92 + 60), ratio = devicePixelRatio || 1;
    canvas.width = width * ratio; canvas.height = height * ratio;
    canvas.style.width = `${width}px`; canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim(), faint = style.getPropertyValue("--line").trim();
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, height);
    const few = brushes.size > 0, stroke = (row) => {
      pen.beginPath();
      axes.forEach((axis, at) => {
        const x = xOf(at, width), y = yOf(axis, axis.values[row]);
        if (at) pen.lineTo(x, y); else pen.moveTo(x, y);
      });
      pen.stroke();
    };
    pen.lineWidth = 1;
    if (few) { pen.strokeStyle = faint; pen.globalAlpha = 0.35; lines.forEach((row) => { if (!inside(row)) stroke(row); }); }
    pen.globalAlpha = lines.length > 300 ? 0.55 : 0.8;
    lines.forEach((row) => { if (!few || inside(row)) { pen.strokeStyle = colours[row]; stroke(row); } });
    pen.globalAlpha = 1;
    if (pointed >= 0) { pen.lineWidth = 3; pen.strokeStyle = ink; stroke(pointed); pen.lineWidth = 1; }
    pen.font = "12px system-ui, sans-serif";
    axes.forEach((axis, at) => {
      const x = xOf(at, width);
      pen.strokeStyle = ink; pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(x, TOP); pen.lineTo(x, height - BOTTOM); pen.stroke();
      pen.fillStyle = ink; pen.textAlign = "center"; pen.font = "600 12px system-ui, sans-serif";
      pen.fillText(cut(pen, axis.label, Math.max(80, (width - LEFT - RIGHT) / axes.length - 8)), x, at % 2 && axes.length > 7 ? 16 : 32);
      pen.font = "11px system-ui, sans-serif"; pen.textAlign = "left";
      axis.ticks.forEach((tick, place) => {
        const y = yOf(axis, tick), text = cut(pen, plain(axis.texts[place]), 84);
        pen.globalAlpha = 0.75; pen.fillStyle = style.getPropertyValue("--page").trim();
        pen.fillRect(x + 5, y - 7, pen.measureText(text).width + 3, 14);
        pen.globalAlpha = 1; pen.fillStyle = ink;
        pen.fillText(text, x + 6, y + 4);
        pen.beginPath(); pen.moveTo(x - 3, y); pen.lineTo(x + 3, y); pen.stroke();
      });
      const brush = brushes.get(at);
      if (brush) {
        const top = yOf(axis, brush[1]), end = yOf(axis, brush[0]);
        pen.fillStyle = style.getPropertyValue("--accent").trim(); pen.globalAlpha = 0.35;
        pen.fillRect(x - 7, top, 14, Math.max(2, end - top)); pen.globalAlpha = 1;
      }
    });
  }

  function tell() {
    const rows = brushes.size ? lines.filter(inside).map((row) => trials[row]) : null;
    live.textContent = rows ? `${rows.length} trials are picked` : "all trials are shown";
    picked(rows ? new Set(rows) : null);
  }

  // Draws a line thick, with its trial's name at a place, or at its middle; -1 for none.
  function point(row, at) {
    if (row !== pointed) { pointed = row; draw(); }
    tip.hidden = row < 0;
    canvas.classList.toggle("opens", row >= 0);
    if (row < 0) return "";
    const middle = (axes.length / 2) | 0, [x, y] = at ?? [xOf(middle, canvas.clientWidth), yOf(axes[middle], axes[middle].values[row])];
    tip.textContent = `trial ${plain(names[row])}`;
    Object.assign(tip.style, { left: `${Math.min(x + 12, canvas.clientWidth - 120)}px`, top: `${Math.max(y - 30, 0)}px` });
    return plain(names[row]);
  }

  // The line that passes a place most closely; those drawn last lie on top.
  function lineAt(x, y, width) {
    const at = axes.findIndex((_, place) => place + 1 < axes.length && xOf(place, width) <= x && x <= xOf(place + 1, width));
    if (at < 0) return -1;
    const share = (x - xOf(at, width)) / (xOf(at + 1, width) - xOf(at, width));
    let best = -1, least = NEAR;
    for (const row of lines) {
      const far = Math.abs((1 - share) * yOf(axes[at], axes[at].values[row]) + share * yOf(axes[at + 1], axes[at + 1].values[row]) - y);
      if (far <= least && inside(row)) [best, least] = [row, far];
    }
    return best;
  }

  const where = (event) => { const rect = canvas.getBoundingClientRect(); return [event.clientX - rect.left, event.clientY - rect.top, rect.width]; };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y, width] = where(event), at = axisAt(x, width);
    grabbed = at >= 0;
    if (!grabbed) return;
    drag = { at, from: valueAt(axes[at], y), moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y, width] = where(event), at = axisAt(x, width);
    canvas.style.cursor = at >= 0 ? "ns-resize" : "";
    if (!drag) { point(at >= 0 ? -1 : lineAt(x, y, width), [x, y]); return; }
    const axis = axes[drag.at], to = valueAt(axis, y);
    drag.moved ||= Math.abs(yOf(axis, drag.from) - y) > 4;
    if (drag.moved) { brushes.set(drag.at, [Math.min(drag.from, to), Math.max(drag.from, to)]); draw(); }
  });
  canvas.addEventListener("pointerup", () => {
    if (drag && !drag.moved) { brushes.delete(drag.at); draw(); }
    if (drag) tell();
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => point(-1));
  canvas.addEventListener("click", (event) => {
    const [x, y, width] = where(event), row = grabbed ? -1 : lineAt(x, y, width);
    if (row >= 0) open(trials[row]);
  });
  const sized = new ResizeObserver(() => draw());
  sized.observe(scroll);
  return { take, draw, clear() { brushes.clear(); draw(); }, end() { sized.disconnect(); } };
}

function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let kept = text.slice(0, 60);
  while (kept.length > 1 && pen.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}

// plotly's JSON holds numbers as lists, or as packed little-endian bytes.
const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
export function unpack(values) {
  if (!values?.bdata) return (values ?? []).map((value) => (value === null ? NaN : value));
  const raw = Uint8Array.from(atob(values.bdata), (each) => each.charCodeAt(0));
  return [...new KINDS[values.dtype](raw.buffer)];
}
