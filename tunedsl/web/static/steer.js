// Steering: what can be done with a run or a trial, why the rest cannot, and the forms that ask for it.
import { get, post, runPath, session } from "./api.js";
import { dialog, fill, h, keep, kept, toast } from "./dom.js";

const NAMES = { stop: "Stop", pause: "Pause", resume: "Resume", add: "Add a configuration", amend: "Amend", stop_trial: "Stop the trial", clone: "Clone with changes" };
const TEXTS = {
  stop: "The run ends. Its trials stop, and their results are kept.",
  pause: "Running trials end at their next report and keep their newest checkpoint. The workers are free. You can resume the run.",
  resume: "A new driver continues the run on the machine of this dashboard, as the command tunedsl resume does.",
  stop_trial: "The trial ends after its present iteration. Its results are kept.",
};

// Buttons for `actions`; those that are not possible say why. `update` asks anew when the run has changed.
export function steerBar(run, actions, trial = null) {
  const bar = h("div", { class: "buttons steer" });
  let known = "";
  if (session.report) {
    if (trial === null) fill(bar, h("small", {}, "This report shows the run as it was when the report was written. To follow and steer the run, to replay it or to read output, open it in the dashboard: ", h("code", {}, `tunedsl dashboard ${session.store}`)));
    return { bar, update() {} };
  }
  async function update() {
    const found = await get(runPath(run, "steering"), { trial }).catch((error) => ({ why_not: Object.fromEntries(actions.map((each) => [each, error.message])), parameters: [] }));
    const now = JSON.stringify(found.why_not);
    if (now === known) return;
    known = now;
    const reasons = [...new Set(actions.filter((action) => action !== "resume" || found.why_not.pause).map((action) => found.why_not[action]).filter(Boolean))];
    fill(bar, actions.filter((action) => !(action === "resume" && !found.why_not.pause) && !(action === "pause" && (!found.why_not.resume || found.why_not.stop))).map((action) => {
      const why = found.why_not[action];
      const button = h("button", { type: "button", class: action.startsWith("stop") ? "danger" : null, title: why || null, "aria-disabled": Boolean(why) }, NAMES[action]);
      button.addEventListener("click", () => { if (why) toast(why, true); else ask(run, action, trial, update); });
      return button;
    }), reasons.length === 1 || actions.every((action) => found.why_not[action]) ? h("small", {}, reasons[0]) : null);
  }
  update();
  return { bar, update };
}

async function ask(run, action, trial, done) {
  const why = h("input", { type: "text", id: "why", maxlength: 200, placeholder: "why? (the journal keeps it)" });
  const by = h("input", { type: "text", id: "by", maxlength: 60, placeholder: "your name", value: kept("tunedsl-by") ?? "" });
  const said = h("p", { role: "alert" }), form = await fields(run, action, trial);
  const go = h("button", { type: "submit", class: action.startsWith("stop") ? "danger" : "primary" }, NAMES[action]), no = h("button", { type: "button" }, "Cancel");
  const body = h("form", {}, form.content, h("div", { class: "pair" }, h("label", { for: "why" }, "Reason", why), h("label", { for: "by" }, "Who asks", by)), said, h("div", { class: "buttons" }, go, no));
  const box = dialog(trial === null ? `${NAMES[action]}: ${run}` : `${NAMES[action]}: trial ${trial} of ${run}`, body);
  no.addEventListener("click", () => box.close());
  body.addEventListener("submit", async (event) => {
    event.preventDefault();
    keep("tunedsl-by", by.value);
    go.disabled = true;
    form.blame?.("");
    said.className = "quiet";
    said.textContent = "Waiting for the driver …";
    try {
      const found = await post(runPath(run, "steer"), { action, trial, why: why.value, by: by.value, ...form.read() });
      toast(found.reply);
      box.close();
    } catch (error) {
      said.className = "wrong";
      said.textContent = form.blame?.(error.message) ? "The run was not changed." : error.message;
    }
    go.disabled = false;
    done();
  });
}

// A field with its hint, and a place for what is wrong with it.
function field(id, label, input, hint, list = null) {
  input.id = id;
  input.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
  const wrong = h("p", { class: "wrong", id: `${id}-wrong`, role: "alert" });
  return { input, wrong, shown: h("div", { class: "field" }, h("label", { for: id }, label), input, list, h("small", { id: `${id}-hint` }, hint), wrong) };
}

// Shows a message at the fields that it names; returns whether there is one.
function blame(fields, message) {
  const named = fields.filter(([name, { shown }]) => !shown.hidden && new RegExp(`(?<![\\w.])(space\\.)?${name.replace(/[\\^$.*+?()[\]{}|\/]/g, "\\$&")}(?![\\w]|\\.\\w)`, "u").test(message));
  const exact = named.filter(([name]) => message.includes(`space.${name} `)), found = exact.length ? exact : named;
  for (const each of fields) {
    const is = found.includes(each), { input, wrong } = each[1];
    wrong.textContent = is ? message.replace("The space does not have this configuration: ", "").replaceAll(`space.${each[0]}`, each[0]) : "";
    if (is) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
  }
  found[0]?.[1].input.focus();
  return found.length > 0;
}

async function fields(run, action, trial) {
  if (action === "amend") return amendment(run);
  if (action !== "add" && action !== "clone") return { content: h("p", {}, TEXTS[action]), read: () => ({}) };
  const { parameters } = await get(runPath(run, "steering"), { trial });
  const inputs = parameters.map((each, place) => {
    const id = `field-${place}`, empty = each.optional ? "(does not exist)" : "(choose)";
    const input = each.options.length
      ? h("select", {}, h("option", { value: "" }, empty), each.options.map((option) => h("option", { value: option }, option.replace(/^"(.*)"$/, "$1"))))
      : h("input", { type: "text", placeholder: each.optional ? "only under its condition" : "" });
    input.value = each.value ?? "";
    return [each.name, field(id, each.label, input, each.domain), each];
  });
  // Of a choice between spaces, only the parameters of the chosen space are shown and sent.
  const choices = inputs.filter(([, , each]) => each.branches);
  const arrange = () => inputs.forEach(([name, { shown }]) => {
    shown.hidden = choices.some(([above, { input }]) => name.startsWith(`${above}.`) && !name.startsWith(`${above}.${input.value}.`));
  });
  choices.forEach(([, { input }]) => input.addEventListener("change", arrange));
  arrange();
  return {
    content: [h("p", {}, action === "clone" ? "A new trial with the values of this one, as you change them. It starts from the beginning." : "A new trial with these values, besides those of the searcher."), inputs.map(([, { shown }]) => shown)],
    read: () => ({ values: Object.fromEntries(inputs.filter(([, { input, shown }]) => !shown.hidden && input.value.trim() !== "").map(([name, { input }]) => [name, input.value.trim()])) }),
    blame: (message) => blame(inputs, message),
  };
}

async function amendment(run) {
  const now = await get(runPath(run, "plan")), parameters = now.parameters;
  const limits = [
    ["samples", "Samples", "how many configurations the searcher proposes"],
    ["budget.seconds", "Budget: seconds", "of running time"],
    ["budget.trials", "Budget: trials", "that may start"],
    ["budget.iterations", "Budget: iterations", "of all trials together"],
  ].map(([name, label, hint]) => [name, field(name.split(".").pop(), label, h("input", { type: "text", inputmode: "decimal", placeholder: "unchanged" }), hint)]);
  const more = h("textarea", { rows: 3, placeholder: `space.${parameters[0] ?? "lr"}=uniform(0, 1)\nstop.training_iteration=27` });
  return {
    content: [
      h("p", {}, "The run continues with another plan. Ended trials that the new plan would not have ended continue from their checkpoints."),
      limits.map(([, { shown }]) => shown),
      field("more", "Space, stop rules, scheduler", more, "one a line").shown,
    ],
    read: () => ({
      sets: [
        ...limits.filter(([, { input }]) => input.value.trim()).map(([name, { input }]) => `${name}=${input.value.trim()}`),
        ...more.value.split("\n").map((line) => line.trim()).filter(Boolean),
      ],
    }),
    blame: (message) => blame(limits, message),
  };
}
