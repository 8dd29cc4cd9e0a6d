// All runs of the store: what each has come to, live, with a search, an order, tags and deletion.
import { get, live, post, runPath, session } from "./api.js";
import { bytes, dialog, duration, fill, h, meter, number, spark, toast } from "./dom.js";
import { writeNote } from "./notes.js";

const COLUMNS = [
  ["star", "★", (run) => -(run.note?.star ?? false)],
  ["run", "run", (run) => run.run],
  ["phase", "state", (run) => run.phase],
  ["best", "best", (run) => run.best],
  ["spark", "best over time", null],
  ["done", "progress", (run) => run.done],
  ["left", "time left", (run) => run.left],
  ["trials", "trials", (run) => run.trials],
  ["failed", "failed", (run) => run.failed],
  ["began", "began", (run) => run.began],
];

export function storeView({ main, linked, options }) {
  const search = h("input", { type: "search", placeholder: "search: name, state, tag", "aria-label": "Search the runs", value: options.get("search") ?? "" });
  const count = h("span", { class: "quiet" }), compare = h("button", { type: "button", disabled: true }, "Compare");
  const head = h("thead"), body = h("tbody"), chosen = new Set();
  const wrong = h("p", { class: "wrong", role: "alert" });
  let runs = [], sorted = "began", turned = true;
  fill(main, h("h1", { class: "hidden" }, "Runs"),
    h("div", { class: "tools" }, search, count, h("span", { class: "grow" }), compare),
    wrong, h("div", { class: "scroll" }, h("table", { class: "runs" }, head, body)));

  compare.addEventListener("click", () => {
    location.hash = `#/compare?${new URLSearchParams([...chosen].map((run) => ["run", run]))}`;
  });
  search.addEventListener("input", show);

  function sort(name) {
    turned = sorted === name ? !turned : ["began", "star"].includes(name);
    sorted = name;
    show();
  }

  function matches(run) {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = [run.run, run.name, run.state, run.searcher, run.scheduler, run.metric, ...(run.note?.tags ?? [])].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  }

  function ordered() {
    const key = COLUMNS.find(([name]) => name === sorted)[2], sign = turned ? -1 : 1;
    return runs.filter(matches).sort((a, b) => {
      const one = key(a), two = key(b);
      if (one === two) return a.run < b.run ? -1 : 1;
      if (one === null || one === undefined) return 1;
      if (two === null || two === undefined) return -1;
      return sign * (one < two ? -1 : 1);
    });
  }

  function show() {
    fill(head, h("tr", {}, h("th", {}, h("span", { class: "hidden" }, "selected")), COLUMNS.map(([name, label, key]) => h("th", {
      scope: "col", "aria-sort": sorted === name ? (turned ? "descending" : "ascending") : null,
    }, key ? h("button", { type: "button", onclick: () => sort(name) }, label) : label)), h("th", {}, h("span", { class: "hidden" }, "actions"))));
    const found = ordered();
    fill(body, found.map(line));
    count.textContent = `${found.length} of ${runs.length} runs`;
    if (!runs.length) fill(body, h("tr", {}, h("td", { colspan: 12, class: "quiet" }, `There is no run in ${session.store} yet. This page shows the first one as soon as it begins.`)));
    compare.disabled = chosen.size < 2;
    compare.textContent = chosen.size ? `Compare ${chosen.size}` : "Compare";
  }

  function line(run) {
    const note = run.note ?? {}, statuses = run.statuses ?? {};
    const box = h("input", { type: "checkbox", "aria-label": `Select ${run.run}` });
    box.checked = chosen.has(run.run);
    box.addEventListener("change", () => { if (box.checked) chosen.add(run.run); else chosen.delete(run.run); show(); });
    const star = h("button", { type: "button", class: "star", "aria-pressed": Boolean(note.star), "aria-label": `Star ${run.run}`, disabled: session.read_only }, note.star ? "★" : "☆");
    star.addEventListener("click", () => writeNote(run.run, null, { ...note, star: !note.star }, note).then((found) => { run.note = found.run; show(); }));
    const erase = h("button", { type: "button", class: "small", "aria-label": `Delete ${run.run}`, disabled: session.read_only || run.phase === "running" }, "delete …");
    erase.addEventListener("click", () => clean(run.run));
    return h("tr", { class: run.phase },
      h("td", {}, box), h("td", {}, star),
      h("th", { scope: "row" }, h("a", { href: `#/run/${encodeURIComponent(run.run)}` }, run.run),
        h("div", { class: "tags" }, (note.tags ?? []).map((tag) => h("button", { type: "button", class: "tag", onclick: () => { search.value = tag; show(); } }, tag)))),
      h("td", { title: run.state }, h("span", { class: `phase ${run.phase}` }, run.phase), reason(run), run.error ? h("span", { class: "wrong", title: run.error }, " damaged") : null),
      h("td", {}, run.best === null || run.best === undefined ? h("span", { class: "quiet" }, "–") : [h("b", {}, number(run.best, 5)), h("span", { class: "quiet" }, ` ${run.metric} (${run.mode})`)]),
      h("td", {}, spark(run.spark, `best ${run.metric ?? ""} over time`)),
      h("td", {}, meter(run.done, `progress of ${run.run}`)),
      h("td", {}, run.left === null || run.left === undefined ? (run.seconds ? h("span", { class: "quiet" }, `took ${duration(run.seconds)}`) : "–") : duration(run.left)),
      h("td", { class: "number", "data-unit": "trials", title: Object.entries(statuses).map(([name, amount]) => `${amount} ${name}`).join(", ") }, number(run.trials)),
      h("td", { class: "number", "data-unit": "failed" }, run.failed ? h("span", { class: "status failed" }, number(run.failed)) : run.phase === "reading" ? "–" : "0"),
      h("td", { class: "quiet" }, (run.began ?? "").slice(0, 16).replace("T", " ")),
      h("td", {}, erase));
  }

  // Why a run is not in progress, without the word that is shown already.
  function reason(run) {
    const [word, ...rest] = (run.state ?? "").split(": ");
    return word === run.phase && rest.length && word !== "finished" ? h("div", { class: "why quiet" }, rest.join(": ")) : null;
  }

  async function clean(run) {
    const said = h("p", {}, "…"), whole = h("input", { type: "checkbox", id: "whole" });
    const repeat = h("input", { type: "text", "aria-label": "The run's name", placeholder: run, hidden: true });
    const go = h("button", { type: "button", class: "danger", disabled: true }, "Delete"), no = h("button", { type: "button" }, "Cancel");
    const box = dialog(`Delete files of ${run}`, said, h("p", {}, whole, h("label", { for: "whole" }, " the whole run, with its journal")), repeat, h("div", { class: "buttons" }, go, no));
    const look = async () => {
      repeat.hidden = !whole.checked;
      try {
        const found = await get(runPath(run, "clean"), { whole: whole.checked ? 1 : 0 });
        said.textContent = found.nothing ? "There is nothing that it no longer needs." : `${found.what}, ${bytes(found.size)}. This cannot be undone.`;
        go.disabled = found.nothing || (whole.checked && repeat.value !== run);
        if (whole.checked && repeat.value !== run) said.textContent += " Repeat the run's name to confirm.";
      } catch (error) { said.textContent = error.message; go.disabled = true; }
    };
    whole.addEventListener("change", look);
    repeat.addEventListener("input", look);
    no.addEventListener("click", () => box.close());
    go.addEventListener("click", async () => {
      try {
        toast((await post(runPath(run, "clean"), { whole: whole.checked, confirm: repeat.value })).reply);
        box.close();
      } catch (error) { said.textContent = error.message; }
    });
    look();
  }

  show();
  return live("/api/live", (found) => {
    runs = found.runs;
    wrong.textContent = found.error;
    show();
  }, linked);
}
