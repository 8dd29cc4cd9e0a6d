// One trial: its configuration, curve, story, output, checkpoints, failures and identity.
import { get, live, runPath, session } from "./api.js";
import { card, copyable, duration, fill, h, number, status, table } from "./dom.js";
import { choice, figureBox } from "./figures.js";
import { noteForm } from "./notes.js";
import { steerBar } from "./steer.js";
import { smoothed } from "./trials.js";

const MAX_LOG = 400_000;
export function trialView({ main, linked }, run, number_) {
  const path = runPath(run, "trials", number_), home = `#/run/${encodeURIComponent(run)}`;
  const head = h("div", { class: "runhead" }), facts = h("div"), story = h("ol", { class: "story", tabindex: "0", "aria-label": "What happened" }), outcome = h("p");
  const steering = steerBar(run, ["stop_trial", "clone"], number_), logs = h("div"), note = h("div"), more = h("div");
  let log = false, amount = 0, curves = {}, metric = "", named = "";
  const picks = h("span"), slider = h("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: 0, "aria-label": "Smoothing" });
  const curve = figureBox({ title: "Curve", tools: [picks, choice("scale", [["", "linear"], ["log", "logarithmic"]], "", (value) => { log = value === "log"; draw(); }), h("label", { class: "choice" }, h("span", {}, "smoothing"), slider)] });
  slider.addEventListener("input", () => { amount = Number(slider.value); draw(); });
  fill(main, head, steering.bar, h("div", { class: "columns" }, facts, card("What happened, and why", outcome, story)), curve.box, logs, more, session.absent.includes("notes") ? null : card("Note", note));
  get(runPath(run, "plan")).then((plan) => fill(note, noteForm(run, number_, plan.notes.trials?.[number_])), () => {});

  function draw() {
    const found = curves[metric];
    if (!found) { curve.refuse(new Error("The trial has reported nothing yet.")); return; }
    const data = [{ type: "scatter", mode: found.values.length < 60 ? "lines+markers" : "lines", x: found.iterations, y: amount ? smoothed(found.values, amount) : found.values, line: { color: "#0072B2", width: 2 }, marker: { size: 5 } }];
    curve.show({ data, layout: { height: 360, showlegend: false, margin: { t: 10 }, xaxis: { title: { text: "iteration" } }, yaxis: { title: { text: metric }, type: log ? "log" : "linear" } }, title: `${metric} of the trial`, notes: "" });
  }

  let busy = false, again = false, known = "", slow = 0;
  async function read() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const found = await get(path), text = JSON.stringify(found);
      if (text !== known) {
        known = text;
        show(found);
        const began = Date.now();
        const [told, all] = await Promise.all([get(`${path}/story`).catch((error) => ({ outcome: error.message, events: [], left: 0 })), get(runPath(run, "curves"), { trial: number_ })]);
        slow = 4 * (Date.now() - began);
        outcome.textContent = told.outcome;
        fill(story, told.left ? h("li", { class: "quiet" }, `${told.left} earlier events are left out`) : null, told.events.map(([seconds, what]) => h("li", {}, h("time", {}, duration(seconds)), h("span", {}, what))));
        curves = all[number_] ?? {};
        const names = Object.keys(curves);
        metric = names.includes(metric) ? metric : names[0] ?? "";
        if (names.join() !== named) {
          named = names.join();
          fill(picks, names.length > 1 ? choice("metric", names.map((name) => [name, name]), metric, (value) => { metric = value; draw(); }) : null);
        }
        draw();
        steering.update();
      }
    } catch (error) { fill(head, h("p", { class: "wrong", role: "alert" }, error.message)); }
    setTimeout(() => { busy = false; if (again) { again = false; read(); } }, Math.max(slow, 300));
  }

  function show(found) {
    fill(head, h("h1", {}, `Trial ${found.name}`), status(found.status), found.reason ? h("p", {}, found.reason) : null);
    const pairs = (rows) => h("dl", { class: "pairs" }, rows.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
    fill(facts,
      card("Configuration", pairs(found.config.map(([name, text]) => [name, h("code", {}, text)])), found.configs.length > 1 ? [h("h3", {}, "It changed"), pairs(found.configs.map(([at, text]) => [`after iteration ${at}`, h("code", {}, text)]))] : null),
      card("Last report", found.metrics.length ? pairs(found.metrics.map(([name, value]) => [name, number(value, 8)])) : h("p", { class: "quiet" }, "none yet")));
    fill(more,
      found.failures.length ? card("Failures", found.failures.map((each) => h("details", { open: found.failures.length === 1 }, h("summary", {}, h("b", {}, each.kind), ` after ${duration(each.seconds)}: ${each.message}`), each.traceback ? h("pre", {}, each.traceback) : null))) : null,
      h("div", { class: "columns" },
        card("Where it ran", found.spans.length ? table(["worker", "attempt", "from", "to", "iterations", "outcome"], found.spans.map((each) => [each.worker || "–", each.attempt + 1, duration(each.start), each.end !== null ? duration(each.end) : each.outcome === "running" ? "now" : "–", each.last ? `${each.first + 1} to ${each.last}` : each.end === null ? `${each.first + 1} to …` : "none", each.outcome])) : h("p", { class: "quiet" }, "It has not started.")),
        card("Checkpoints", found.checkpoints.length ? h("ul", {}, found.checkpoints.slice().reverse().map(([at, place]) => h("li", {}, `iteration ${at}: `, copyable(place), place === found.best_checkpoint ? h("b", {}, " best") : null))) : h("p", { class: "quiet" }, "No checkpoint is kept."))),
      card("Run it again", h("p", {}, copyable(found.rerun)), pairs([["folder", h("code", {}, found.folder)], ["seed", found.seed], ["resources", found.resources], ...found.identity.map(([name, text]) => [name, h("code", {}, text)])])));
    output(found.logs);
  }

  const open = new Map();
  function output(names) {
    for (const name of names) if (!open.has(name)) open.set(name, follow(name));
    if (names.length && !logs.children.length) fill(logs, [...open.values()].map(({ box }) => box));
  }

  function follow(name) {
    const text = h("pre", { class: "log", tabindex: "0", role: "log", "aria-label": `Output ${name}` });
    let next = null;
    const look = async () => {
      try {
        const found = await get(`${path}/log`, { name, offset: next });
        if (found.text) {
          const isAtEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;
          text.append(found.text);
          if (text.textContent.length > MAX_LOG) text.textContent = text.textContent.slice(-MAX_LOG / 2);
          if (isAtEnd) text.scrollTop = text.scrollHeight;
        } else if (next === null) text.textContent = "(empty)\n";
        next = found.next;
      } catch (error) { if (next === null) text.textContent = error.message; }
    };
    look();
    const timer = setInterval(() => { if (!document.hidden) look(); }, 1500);
    return { box: card(name === "err" ? "Standard error" : "Standard output", text), end: () => clearInterval(timer) };
  }

  const close = live(runPath(run, "live"), read, linked);
  read();
  return () => { close(); curve.end(); for (const each of open.values()) each.end(); };
}
