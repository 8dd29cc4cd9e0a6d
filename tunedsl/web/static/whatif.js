// What another policy would have done with the recorded curves, and what the record cannot tell.
import { get, runPath } from "./api.js";
import { fill, h, number, table } from "./dom.js";
import { choice, figureBox } from "./figures.js";

export function whatIfTab(context) {
  const form = h("form", { class: "whatif" }), said = h("p", { role: "status", class: "quiet" }), answer = h("div");
  const answers = h("section", { class: "card", hidden: true }, h("h2", {}, "Figures"), answer);
  let over = "iterations";
  const figure = figureBox({ title: "What if", hidden: false, tools: [choice("over", [["iterations", "reports of all trials"], ["seconds", "time"]], over, (value) => { over = value; ask(); })] });
  figure.refuse(new Error("Change an option: the recorded curves are replayed under it, without any training."));
  let read = () => [], waits = 0, asked = 0;

  get(runPath(context.run, "replay")).then((now) => build(now), (error) => { said.className = "wrong"; said.textContent = error.message; });

  function slider(name, value, low, high, step, changed) {
    const id = `option-${name}`, output = h("output", { for: id }, number(value)), input = h("input", { type: "range", id, min: low, max: high, step, value });
    input.addEventListener("input", () => { output.textContent = number(Number(input.value)); changed(); });
    return { box: h("div", { class: "field" }, h("label", { for: id }, name), input, output), read: () => input.value };
  }

  function build(now) {
    const later = () => { clearTimeout(waits); waits = setTimeout(ask, 350); };
    const options = now.scheduler.options.map(({ name, kind, value }) => {
      if (kind === "boolean") {
        const tick = h("input", { type: "checkbox", id: `option-${name}` });
        tick.checked = value;
        tick.addEventListener("change", later);
        return { name, box: h("div", { class: "field" }, h("label", { for: tick.id }, name), tick), read: () => (tick.checked ? "True" : "False"), changed: () => tick.checked !== value };
      }
      const whole = kind === "integer", high = whole ? Math.max(4 * value, now.longest, 4) : Math.max(4 * value, 1);
      const made = slider(name, value, whole ? Math.min(1, value) : 0, high, whole ? 1 : high / 200, later);
      return { ...made, name, changed: () => Number(made.read()) !== value };
    });
    const parallel = slider("concurrent trials", now.parallel, 1, Math.max(4 * now.parallel, 16), 1, later);
    const limit = slider("stop after iteration (0: as it was)", 0, 0, Math.max(now.longest, 1), 1, later);
    const text = h("textarea", { id: "policy", rows: 2, placeholder: "scheduler=asha(max_t=27)\nuntil=best() < 0.1" });
    text.addEventListener("input", later);
    fill(form,
      h("p", {}, "The run had ", h("code", {}, now.scheduler.text), now.stop ? [", and stopped trials at ", h("code", {}, now.stop)] : "", "."),
      h("fieldset", {}, h("legend", {}, `Scheduler ${now.scheduler.name}`), options.length ? options.map(({ box }) => box) : h("p", { class: "quiet" }, "It has no options: write another one below.")),
      h("fieldset", {}, h("legend", {}, "Limits"), parallel.box, limit.box),
      h("div", { class: "field" }, h("label", { for: "policy" }, "Or other clauses, one a line"), text));
    read = () => {
      const written = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const sets = [...written];
      if (options.some((each) => each.changed()) && !written.some((line) => line.startsWith("scheduler="))) {
        sets.push(`scheduler=${now.scheduler.name}(${options.map((each) => `${each.name}=${each.read()}`).join(", ")})`);
      }
      if (Number(parallel.read()) !== now.parallel) sets.push(`parallel=${parallel.read()}`);
      if (Number(limit.read())) sets.push(`stop.training_iteration=${limit.read()}`);
      return sets;
    };
  }

  async function ask() {
    const sets = read(), own = ++asked;
    if (!sets.length) return;
    said.className = "quiet";
    said.textContent = "Replaying …";
    try {
      const found = await get(runPath(context.run, "what-if"), { set: sets, over });
      if (own !== asked) return;
      said.textContent = found.estimated ? `${found.estimated} of ${found.trials} outcomes are estimates: they need reports that were never made.` : "Every figure is exact: the record has all reports that the replay needed.";
      figure.show(found.figure);
      answers.hidden = false;
      fill(answer,
        table(["figure", "the run had", "it would have", "certain?", "at least", "at most"], found.figures.map((each) => [each.name, number(each.recorded), number(each.value), each.censored ? h("span", { class: "censored" }, "censored: an estimate") : "exact", each.censored ? number(each.low) : "", each.censored ? number(each.high) : ""])),
        found.assumptions.length ? h("ul", {}, found.assumptions.map((text) => h("li", {}, `assumed: ${text}`))) : null);
    } catch (error) {
      if (own !== asked) return;
      said.className = "wrong";
      said.textContent = error.message;
    }
  }

  return { content: [h("section", { class: "card" }, h("h2", {}, "Another policy"), form, said), figure.box, answers], update() {}, end: () => figure.end() };
}
