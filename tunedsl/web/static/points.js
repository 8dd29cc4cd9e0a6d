// The points of pictures that stand for trials: a click opens the trial; on the keyboard, arrows choose it and Enter opens it.
import { h } from "./dom.js";

export const KEYS = "Arrow keys choose a trial, Enter opens it.";

// Listens to the keys on an element. `trials()` gives the numbers of the trials drawn; `point(trial)` shows one, null for
// none, and returns its name.
export function chooseByKeys(element, { trials, point, open }) {
  const said = h("span", { class: "hidden", role: "status" });
  let chosen = null;
  const choose = (trial, place, count) => {
    chosen = trial;
    const name = point(trial);
    said.textContent = trial === null ? "" : `trial ${name}, ${place + 1} of ${count}`;
  };
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = trials(), at = all.indexOf(chosen);
    const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? all.length - 1 : at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined && all.length) {
      const place = Math.max(0, Math.min(all.length - 1, next));
      choose(all[place], place, all.length);
    } else if (event.key === "Enter" && at >= 0) open(chosen);
    else if (event.key === "Escape" && at >= 0) choose(null);
    else return;
    event.preventDefault();
  });
  element.addEventListener("blur", () => { if (chosen !== null) choose(null); });
  return said;
}

// Where each trial of plotly's traces is drawn first, by the trials' numbers.
export function pointsOf(data, unpack) {
  const found = new Map();
  data.forEach((trace, curveNumber) => {
    const x = unpack(trace.x), y = unpack(trace.y);
    unpack(trace.customdata).forEach((trial, pointNumber) => {
      if (!Number.isInteger(trial) || found.has(trial) || Number.isNaN(x[pointNumber]) || Number.isNaN(y[pointNumber])) return;
      found.set(trial, { curveNumber, pointNumber, subplot: `${trace.xaxis ?? "x"}${trace.yaxis ?? "y"}` });
    });
  });
  return new Map([...found].sort(([one], [two]) => one - two));
}
