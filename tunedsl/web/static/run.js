// One run: a head with what it has come to and what can be done, and its views.
import { get, live, offers, runPath, session } from "./api.js";
import { card, copyable, duration, fill, h, meter, number, status, table, toast } from "./dom.js";
import { choice, drawAll, liveFigure } from "./figures.js";
import { noteForm } from "./notes.js";
import { curvesTab, trialsTab } from "./trials.js";
import { steerBar } from "./steer.js";
import { whatIfTab } from "./whatif.js";

const TABS = [["overview", "Overview"], ["trials", "Trials"], ["curves", "Curves"], ["parameters", "Parameters"], ["scheduling", "Scheduling"], ["what-if", "What if"], ["plan", "Plan"], ["notes", "Notes"]];

export function runView({ main, linked, options }, run, tab) {
  const home = `#/run/${encodeURIComponent(run)}`;
  const head = h("div", { class: "runhead" }), body = h("div", { class: "tabbody" });
  const steering = steerBar(run, ["pause", "resume", "stop", "add", "amend"]);
  const tabs = h("nav", { class: "tabs", "aria-label": "Views of the run" }, offered().map(([name, label]) => h("a", { href: `${home}/${name}`, "data-tab": name }, label)));
  fill(main, head, steering.bar, tabs, body);
  let ends = () => {}, update = () => {}, latest = null, phase = "", current = tab;
  const context = { run, home, options, open: (trial) => { location.hash = `${home}/trial/${trial}`; } };

  function show(name) {
    const made = (VIEWS[name] ?? overview)(context);
    return { box: [context.paper ? h("h2", { class: "part" }, TABS.find(([own]) => own === name)[1]) : null, made.content], ...made, end: made.end ?? (() => {}) };
  }

  // All views, one after the other.
  function print(isPrinted) {
    context.paper = isPrinted;
    if (!isPrinted) { turn(current); return; }
    ends();
    const all = offered().map(([name]) => show(name));
    fill(body, all.map(({ box }) => box));
    ends = () => all.forEach(({ end }) => end());
    update = (now) => all.forEach((each) => each.update(now));
    if (latest) update(latest);
    drawAll();
  }

  function turn(name) {
    current = name;
    for (const link of tabs.children) {
      if (link.dataset.tab === name) { link.setAttribute("aria-current", "page"); link.scrollIntoView({ block: "nearest", inline: "nearest" }); } else link.removeAttribute("aria-current");
    }
    if (phase === "unreadable") return;
    ends();
    const { box, ...made } = show(name);
    fill(body, box);
    ({ update, end: ends } = made);
    if (latest) update(latest);
  }

  function take(now) {
    const before = phase;
    [latest, phase] = [now, now.phase];
    heading(head, now, home);
    if (before && phase !== before) steering.update();
    if (phase === "unreadable") { ends(); update = ends = () => {}; fill(body, broken(now)); } else if (before === "unreadable") turn(current); else update(now);
  }

  main.turn = turn;
  main.print = print;
  turn(tab);
  const close = live(runPath(run, "live"), take, linked);
  get(runPath(run)).then((now) => { if (!latest) take(now); }, (error) => fill(head, h("p", { class: "wrong", role: "alert" }, error.message)));
  return () => { close(); ends(); };
}

function heading(head, now, home) {
  if (now.phase === "unreadable") { fill(head, h("h1", {}, now.run), h("span", { class: `phase ${now.phase}` }, now.state)); return; }
  const best = now.best_trial === null || now.best_trial === undefined ? h("span", { class: "quiet" }, now.metric ? "no trial has a value yet" : "no objective")
    : h("a", { class: "best", href: `${home}/trial/${now.best_trial}` }, h("b", {}, number(now.best, 6)), ` ${now.metric} in trial ${now.best_name}`);
  const left = now.phase === "running" ? (now.left === null ? "" : `about ${duration(now.left)} left`) : "";
  fill(head,
    h("h1", {}, now.run), h("span", { class: `phase ${now.phase}`, title: now.state }, now.state),
    now.error ? h("p", { class: "wrong", role: "alert" }, `The journal cannot be read beyond this: ${now.error}`) : null,
    h("dl", { class: "facts" },
      fact(now.mode === "max" ? "best (largest)" : "best (least)", best),
      fact("ended trials", `${number(ended(now))} of ${number(now.total)}`),
      fact("time", `${duration(now.seconds)}${left ? `, ${left}` : ""}`),
      improved(now), now.objectives > 1 ? fact("objectives", h("a", { href: `${home}/parameters` }, `Pareto front of ${now.objectives}`)) : null,
      fact("iterations", number(now.iterations)),
      fact("searcher", now.searcher), fact("scheduler", now.scheduler)),
    meter(now.done, "progress"));
}

// A run of which nothing can be read.
function broken(now) {
  return card("The journal cannot be read", h("p", {}, "This page shows the run once it can be read. To copy its valid records into a new folder: ", copyable(`tunedsl repair ${now.place}`)));
}

const offered = () => TABS.filter(([name]) => !session.absent.includes(name));
const OPEN = ["running", "pending", "paused"];
const ended = (now) => Object.entries(now.statuses).reduce((sum, [name, amount]) => sum + (OPEN.includes(name) ? 0 : amount), 0);

// When the best value was last improved, by any report.
function improved(now) {
  if (now.improved === null || now.improved === undefined) return null;
  return fact("last improved", now.phase === "running" ? `${duration(now.seconds - now.improved)} ago` : `after ${duration(now.improved)}`);
}
const fact = (name, content) => h("div", {}, h("dt", {}, name), h("dd", {}, content));

function figures(context, kinds) {
  const made = kinds.map(([kind, settings]) => liveFigure(context.run, kind, { picked: context.open, ...settings }));
  return { made, boxes: made.map(({ box }) => box), update: (now) => made.forEach((each) => each.update(now.version)), end: () => made.forEach((each) => each.end()) };
}

function overview(context) {
  const waits = h("ul", { class: "waits" }), workers = h("div"), counts = h("div", { class: "counts" }), budget = h("div"), failures = h("div"), outcome = h("div");
  const forecast = h("button", { type: "button", class: "small" }, "Forecast the rest"), foretold = h("p", { class: "pre", role: "status" });
  forecast.addEventListener("click", async () => {
    forecast.disabled = true;
    foretold.textContent = "Simulating …";
    try { foretold.textContent = (await get(runPath(context.run, "forecast"))).text; } catch (error) { foretold.textContent = error.message; }
    forecast.disabled = false;
  });
  const shown = figures(context, [["best", { title: "Best value so far" }], ["workers", { title: "Workers" }], ...(session.forecast ? [["forecast", { title: "Forecast" }]] : [])]);
  shown.made[0].box.querySelector(".cardhead").append(choice("over", [["", "time"], ["trials", "trials"]], "", (value) => shown.made[0].ask({ over: value })));
  const content = [h("div", { class: "columns" }, card(session.report ? "State" : "Now", waits, workers), card("Trials", counts, h("h3", {}, "Limits"), budget, forecast, foretold, failures)), shown.boxes[0], outcome, shown.boxes.slice(1)];
  const tell = outcomes(context, outcome);
  return {
    content, end: shown.end,
    update(now) {
      fill(waits, (now.waits.length ? now.waits : [`The run is ${now.state}.`]).map((text) => h("li", {}, text)));
      fill(workers, now.workers.length ? table(["worker", "trial", "iteration", "runs for", "last report", "configuration"], now.workers.map((each) => [
        each.worker || "–", h("a", { href: `${context.home}/trial/${each.trial}` }, each.name),
        now.last ? `${each.iterations} of ${now.last}` : each.iterations, duration(each.since), each.silent === null ? "none yet" : `${duration(each.silent)} ago`, h("code", {}, each.config),
      ])) : null);
      fill(counts, Object.entries(now.statuses).map(([name, amount]) => h("a", { class: "count", href: `${context.home}/trials?filter=${encodeURIComponent(`status:${name}`)}` }, h("b", {}, number(amount)), " ", status(name))));
      forecast.hidden = now.phase === "finished" || Boolean(session.report);
      fill(budget, now.budget.map((each) => h("div", { class: "budget" }, h("span", {}, each.name), meter(each.used / each.limit, `${each.name} used`), h("span", { class: "quiet" }, each.name === "seconds" ? `${duration(each.used)} of ${duration(each.limit)}` : `${number(each.used)} of ${number(each.limit)}`))));
      fill(failures, now.failures.length ? [h("h3", {}, "Last failures"), h("ul", {}, now.failures.map((each) => h("li", {}, h("a", { href: `${context.home}/trial/${each.trial}` }, each.name), ` ${each.kind}: ${each.message}`)))] : null);
      tell(now);
      shown.update(now);
    },
  };
}

const OUTCOME_SECONDS = 10;
const pairs = (rows) => h("dl", { class: "pairs" }, rows.map(([name, content]) => [h("dt", {}, name), h("dd", {}, typeof content === "string" ? h("code", {}, content) : content)]));

// What a run came to: the best trial by each objective, counts, and failures, those alike together.
function outcomes(context, place) {
  let due = 0, known = -1, best = null;
  return async (now) => {
    if (now.version === known || (Date.now() < due && now.best_trial === best)) return;
    [known, due, best] = [now.version, Date.now() + 1000 * OUTCOME_SECONDS, now.best_trial];
    try {
      const found = await get(runPath(context.run, "outcome"));
      fill(place,
        found.best.map((each) => card(`Best: ${each.metric} (${each.mode}, last report)`, each.reason ? h("p", {}, each.reason) : [
          h("p", {}, "trial ", h("a", { href: `${context.home}/trial/${each.trial}` }, each.name), `, ${each.status}, ${number(each.iterations)} iterations`, each.checkpoint ? [", checkpoint ", h("code", {}, each.checkpoint)] : null),
          each.peak ? h("p", {}, each.peak) : null,
          h("p", {}, "run it again: ", copyable(each.rerun)),
          h("div", { class: "columns" }, h("div", {}, h("h3", {}, "configuration"), pairs(each.config)), h("div", {}, h("h3", {}, "last report"), pairs(each.metrics.map(([name, value]) => [name, number(value)])))),
        ])),
        card("Facts", pairs(found.facts.map(([name, text]) => [name, h("span", {}, text)]))),
        found.failures.length ? card("Failures", found.failures.map((each, at) => h("details", { open: context.paper || at === 0 },
          h("summary", {}, h("b", {}, `${number(each.attempts)} × ${each.kind}`), ` ${each.message}`),
          h("p", {}, each.trials.length > 1 ? "trials " : "trial ", each.trials.map(([trial, name], place) => [place ? ", " : null, h("a", { href: `${context.home}/trial/${trial}` }, name)]), each.attempts > each.trials.length ? ", …" : null, `; ${given(each)}`),
          each.traceback ? h("pre", {}, each.traceback) : null)), found.more_failures ? h("p", {}, `${found.more_failures} more kinds of failures are left out.`) : null) : null);
    } catch (error) { fill(place, h("p", { class: "wrong", role: "alert" }, error.message)); }
  };
}

// What became of the trials that failed so.
function given({ attempts, given_up: ended }) {
  if (ended === attempts) return attempts > 1 ? "each failure ended its trial" : "the failure ended the trial";
  return ended ? `${number(ended)} of ${number(attempts)} failures ended their trial, the others were tried again` : "tried again each time";
}

// Figures that compare trials at one iteration, which the reader can choose.
function comparing(kind, title, ...more) {
  const tools = h("span"), own = ["last", "each trial's own last report"];
  let known = "";
  return [kind, {
    title, tools: [tools, ...more],
    seen(figure, { ask, path }) {
      const text = JSON.stringify(figure.fidelities ?? []);
      if (text === known || !figure.fidelities?.length) return;
      known = text;
      const all = [...figure.fidelities.map((at) => [String(at), `iteration ${at}`]), ...(kind === "pareto" ? [] : [own])];
      const options = [["", kind === "pareto" ? own[1] : "the highest that many reached"], ...all.filter(([fidelity]) => offers(path, { fidelity }))];
      fill(tools, choice("compare trials at", options, "", (fidelity) => ask({ fidelity })));
    },
  }];
}

function parameters(context) {
  const axes = h("span");
  const shown = figures(context, [comparing("importance", "Importance of parameters"), comparing("slices", "Slices"), comparing("contour", "Contour", axes), comparing("pareto", "Pareto front"), ["hypervolume", { title: "Hypervolume" }]]);
  const [, , { ask }] = shown.made;
  get(runPath(context.run, "plan")).then((plan) => {
    const names = plan.parameters.map((name) => name.replaceAll(".", "/")), options = [["", "the most important"], ...names.map((name) => [name, name])];
    if (names.length > 2 && !session.report) fill(axes, choice("x", options, "", (x) => ask({ x })), choice("y", options, "", (y) => ask({ y })));
  }, () => {});
  return { content: shown.boxes, update: shown.update, end: shown.end };
}

function scheduling(context) {
  const shown = figures(context, [["rungs", { title: "Rungs" }], ["lineage", { title: "Lineage" }], ["schedule", { title: "Schedules of parameters" }], ...(context.paper ? [] : [["workers", { title: "Workers over time" }]])]);
  return { content: shown.boxes, update: shown.update, end: shown.end };
}

function plan(context) {
  const content = h("div", {}, h("p", { class: "quiet" }, "…"));
  let known = 0;
  return {
    content,
    async update(now) {
      if (Date.now() < known) return;
      known = Date.now() + 30000;
      try {
        const found = await get(runPath(context.run, "plan"));
        fill(content,
          found.amended.length ? card("Amended", h("ul", {}, found.amended.map((each) => h("li", {}, h("code", {}, each))))) : null,
          card("Plan", h("pre", {}, found.text)),
          card("Where it came from", pairs([["folder", found.place], ["digest", found.digest], ...Object.entries(found.provenance)])),
          card("Elsewhere", h("p", {}, copyable(`tunedsl watch ${found.place}`)), h("p", {}, copyable(`tunedsl.load(${JSON.stringify(found.place)})`))));
      } catch (error) { toast(error.message, true); }
    },
  };
}

function notes(context) {
  const content = h("div", {}, h("p", { class: "quiet" }, "…"));
  get(runPath(context.run, "plan")).then(({ notes: found }) => {
    const list = h("div");
    const show = (all) => fill(list, Object.entries(all.trials ?? {}).map(([trial, note]) => h("p", {}, h("a", { href: `${context.home}/trial/${trial}` }, `trial ${trial}`), note.star ? " ★ " : " ", (note.tags ?? []).map((tag) => h("span", { class: "tag" }, tag)), " ", note.text ?? "")));
    show(found);
    fill(content, card("Note on the run", noteForm(context.run, null, found.run, show)), card("Notes on trials", list, h("p", { class: "quiet" }, "A trial's own page has its note. Notes are kept in notes.json, next to the journal.")));
  }, (error) => fill(content, h("p", { class: "wrong" }, error.message)));
  return { content, update() {} };
}

const VIEWS = { overview, trials: trialsTab, curves: curvesTab, parameters, scheduling, "what-if": whatIfTab, plan, notes };
