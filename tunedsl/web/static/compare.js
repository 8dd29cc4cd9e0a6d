// Two or more runs next to each other: the best value, what differs in their plans, and their outcomes.
import { get } from "./api.js";
import { fill, h, number, table } from "./dom.js";
import { choice, figureBox } from "./figures.js";

export function compareView({ main, linked }, runs) {
  let over = "seconds";
  const wrong = h("p", { class: "wrong", role: "alert" }), facts = h("div"), plans = h("div");
  const figure = figureBox({ title: "Best value so far", tools: [choice("over", [["seconds", "time"], ["iterations", "reports of all trials"]], over, (value) => { over = value; read(); })] });
  fill(main, h("h1", {}, `${runs.length} runs`), wrong, figure.box, h("section", { class: "card" }, h("h2", {}, "Outcomes"), facts), plans);

  async function read() {
    try {
      const found = await get("/api/compare", { run: runs, over });
      wrong.textContent = "";
      if (found.figure.error) figure.refuse(new Error(found.figure.error)); else figure.show(found.figure);
      const link = (run) => h("a", { href: `#/run/${encodeURIComponent(run)}` }, run);
      fill(facts, table(["outcome", ...found.runs], found.facts.map(([name, ...values]) => [h("b", {}, name), ...values.map((value) => (value === null ? "–" : number(value)))])), h("p", { class: "quiet" }, found.runs.map((run) => [link(run), " "])));
      fill(plans, found.runs.slice(1).map((run, place) => h("section", { class: "card" }, h("h2", {}, `Plan of ${run}, against ${found.runs[0]}`),
        found.differences[place + 1].length ? table(["what", found.runs[0], run], found.differences[place + 1].map(([what, one, two]) => [h("code", {}, what), h("code", {}, one || "(none)"), h("code", {}, two || "(none)")])) : h("p", {}, "There is no difference."))));
    } catch (error) { wrong.textContent = error.message; }
    linked(true);
  }

  read();
  const timer = setInterval(() => { if (!document.hidden) read(); }, 15000);
  return () => { clearInterval(timer); figure.end(); };
}
