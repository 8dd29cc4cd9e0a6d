// Notes, stars and tags of a run or a trial.
import { post, runPath, session } from "./api.js";
import { fill, h, toast } from "./dom.js";

const plain = (note) => ({ text: note?.text ?? "", star: note?.star ?? false, tags: note?.tags ?? [] });

export async function writeNote(run, trial, note, before) {
  try {
    return await post(runPath(run, "note"), { trial, note: plain(note), before: plain(before) });
  } catch (error) {
    toast(error.message, true);
    throw error;
  }
}

// A form for the note; `changed` receives all notes of the run after a change.
export function noteForm(run, trial, note, changed) {
  let before = plain(note);
  const text = h("textarea", { rows: 4, "aria-label": "Note", disabled: session.read_only, value: before.text, placeholder: "What you want to remember" });
  const tags = h("input", { type: "text", "aria-label": "Tags, with commas between them", disabled: session.read_only, value: before.tags.join(", "), placeholder: "tags, with commas between them" });
  const star = h("button", { type: "button", class: "star", disabled: session.read_only });
  const save = h("button", { type: "button", disabled: true }, "Save"), said = h("span", { class: "quiet", role: "status" });
  const show = () => { star.textContent = before.star ? "★" : "☆"; star.setAttribute("aria-pressed", before.star); star.setAttribute("aria-label", "Star"); };
  const write = async (next) => {
    const found = await writeNote(run, trial, next, before);
    before = plain(trial === null ? found.run : found.trials[trial]);
    show();
    save.disabled = true;
    said.textContent = "saved";
    changed?.(found);
  };
  const split = () => tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
  for (const field of [text, tags]) field.addEventListener("input", () => { save.disabled = false; said.textContent = ""; });
  save.addEventListener("click", () => write({ text: text.value, star: before.star, tags: split() }).catch(() => {}));
  star.addEventListener("click", () => write({ ...before, star: !before.star }).catch(() => {}));
  show();
  return fill(h("div", { class: "note" }), star, text, tags, h("div", { class: "buttons" }, save, said));
}
