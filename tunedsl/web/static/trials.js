// The trials of a run: the table with the parallel coordinates linked to it, and the curves.
import { get, offers, runPath } from "./api.js";
import { fill, h } from "./dom.js";
import { choice, figureBox, isDark, liveFigure } from "./figures.js";
import { parallelPlot, unpack } from "./parallel.js";
import { trialTable } from "./table.js";

const LOOKS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"], MAX_CURVES = 24;

// The rows of the table, asked for as they change.
function follower(run, take) {
  let version = -1, busy = false, wanted = -1, first = get(runPath(run, "table"));
  first.catch(() => {});  // it is asked for again
  return async function follow(now) {
    wanted = now.version;
    if (busy) return;
    busy = true;
    try {
      while (version < wanted) {
        const asked = first ?? get(runPath(run, "table"), { since: version < 0 ? null : version });
        first = null;
        const found = await asked;
        const before = version;
        version = found.version;
        take(found);
        if (version <= before) break;
      }
    } finally { busy = false; }
  };
}

export function trialsTab(context) {
  let made = null, plot = null;
  const follow = follower(context.run, (found) => made.take(found)), content = h("div"), selection = h("div");
  const parallel = liveFigure(context.run, "parallel", {
    title: "Parallel coordinates",
    draw: async (figure, box) => {
      box.box.querySelector("h2").textContent = figure.title;
      box.box.querySelector(".notes").textContent = figure.notes;
      box.place.hidden = false;
      box.place.removeAttribute("role");
      plot ??= parallelPlot(box.place, { picked: (trials) => made?.pick(trials), open: context.open, dark: isDark });
      plot.take(figure);
    },
  });
  return {
    content,
    update(now) {
      if (!made) {
        made = trialTable(context.run, { open: context.open, metric: now.metric, mode: now.mode, chosen: (chosen) => choose(chosen) });
        made.unpicked = () => plot?.clear();
        const query = new URLSearchParams(location.hash.split("?")[1] ?? "").get("filter");
        if (query) made.box.querySelector(".filter").value = query;
        const fold = h("details", { class: "fold" }, h("summary", {}, "Parallel coordinates"), parallel.box);
        fold.open = context.paper || innerWidth > 700;
        fill(content, fold, selection, made.box);
      }
      follow(now).then(() => { if (context.paper) made.print(); }).catch((error) => fill(selection, h("p", { class: "wrong" }, error.message)));
      parallel.update(now.version);
    },
    end() { parallel.end(); plot?.end(); },
  };

  function choose(chosen) {
    fill(selection, chosen.size ? h("p", { class: "tools" }, `${chosen.size} selected `, h("a", { class: "button", href: `${context.home}/curves?${new URLSearchParams([...chosen].slice(0, MAX_CURVES).map((trial) => ["trial", trial]))}` }, "Their curves"), " ", h("button", { type: "button", onclick: () => made.clear() }, "Clear")) : null);
  }
}

// An exponential average of a curve; a gap begins it anew.
export function smoothed(values, amount) {
  let held = null;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) { held = value === null ? null : held; return null; }
    held = held === null ? value : amount * held + (1 - amount) * value;
    return held;
  });
}

export function curvesTab(context) {
  const wanted = new URLSearchParams(location.hash.split("?")[1] ?? "").getAll("trial").map(Number).slice(0, MAX_CURVES);
  let log = "auto", amount = 0, metric = "", over = "iterations";
  const change = (data, layout) => {
    if (log !== "auto") layout.yaxis = { ...layout.yaxis, type: log, range: null, autorange: true, dtick: null, title: { text: String(layout.yaxis?.title?.text ?? "").replace(/ \(log\)$/, "") + (log === "log" ? " (log)" : "") } };
    if (amount) for (const trace of data) if ((trace.mode ?? "").includes("lines") && trace.fill === undefined) trace.y = smoothed(unpack(trace.y), amount);
  };
  const scale = choice("scale", [["auto", "as it fits"], ["linear", "linear"], ["log", "logarithmic"]], "auto", (value) => { log = value; redraw(); });
  const slider = h("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: 0, "aria-label": "Smoothing" });
  slider.addEventListener("input", () => { amount = Number(slider.value); redraw(); });
  const smooth = h("label", { class: "choice" }, h("span", {}, "smoothing"), slider), metrics = h("span");
  const shown = liveFigure(context.run, "curves", { title: "Learning curves", changes: change, tools: [metrics, scale, smooth], picked: context.open });
  const chosen = wanted.length ? figureBox({ title: `Curves of ${wanted.length} trials`, changes: change, picked: context.open }) : null;
  const redraw = () => { shown.redraw(); chosen?.redraw(); };
  let known = -1, names = "", objective = "";

  function offer(all) {
    const found = all.filter((name) => offers(runPath(context.run, "figures", "curves"), name === objective ? {} : { metric: name, mode: "min" }));
    if (found.join() === names || found.length < 2) return;
    names = found.join();
    fill(metrics, choice("metric", found.map((name) => [name, name]), metric || found[0], (value) => { metric = value; shown.ask(metric === objective ? { metric: "", mode: "" } : { metric, mode: "min" }); if (chosen) draw(); }));
  }

  let curves = {};
  function draw() {
    const absent = Object.keys(curves).filter((trial) => !Object.keys(curves[trial]).length);
    const data = Object.entries(curves).map(([trial, found], place) => {
      const curve = found[metric] ?? Object.values(found)[0] ?? { iterations: [], seconds: [], values: [] };
      return { type: "scatter", mode: "lines+markers", name: `trial ${trial}`, x: curve[over], y: curve.values, customdata: curve.values.map(() => Number(trial)), line: { color: LOOKS[place % LOOKS.length], dash: place >= LOOKS.length ? "dash" : "solid" }, marker: { size: 4 } };
    });
    chosen.show({ data, layout: { height: 420, xaxis: { title: { text: over === "seconds" ? "seconds of training" : "iteration" } }, yaxis: { title: { text: metric } }, margin: { t: 20 } }, title: `Curves of ${wanted.length} trials`, notes: absent.length ? `without trials ${absent.join(", ")}, of which there is no curve here` : "" });
  }
  if (chosen) chosen.box.querySelector(".cardhead").append(choice("over", [["iterations", "iterations"], ["seconds", "time"]], over, (value) => { over = value; draw(); }));

  return {
    content: [chosen?.box, shown.box],
    async update(now) {
      shown.update(now.version);
      if (now.version === known) return;
      known = now.version;
      objective = now.metric;
      metric ||= objective;
      const trials = wanted.length ? wanted : now.best_trial === null ? [] : [now.best_trial];
      if (!trials.length) return;
      curves = await get(runPath(context.run, "curves"), { trial: trials }).catch(() => ({}));
      offer([...new Set([now.metric, ...Object.values(curves).flatMap((each) => Object.keys(each))])].filter(Boolean));
      if (chosen) draw();
    },
    end() { shown.end(); chosen?.end(); },
  };
}
