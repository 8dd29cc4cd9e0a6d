// Which view is shown: the part of the address after `#`. Each view gets an element and returns what ends it.
import { begin, session } from "./api.js";
import { dialog, fill, h, keep, kept } from "./dom.js";
import { storeView } from "./store.js";
import { runView } from "./run.js";
import { trialView } from "./trial.js";
import { compareView } from "./compare.js";
import { restyle } from "./figures.js";

const main = document.getElementById("main"), path = document.getElementById("path"), link = document.getElementById("link");
let leave = () => {};

export function linked(isLive) {
  link.textContent = session.report ? "report" : isLive ? "live" : "connecting …";
  link.className = isLive && !session.report ? "live" : "";
}

function trail(...parts) {
  fill(path, parts.map(([text, target], place) => [place ? " / " : "", target ? h("a", { href: target }, text) : h("span", {}, text)]));
  document.title = `${parts.map(([text]) => text).reverse().join(" · ") || "runs"} · tunedsl`;
}

let shown = "";
function show() {
  if (session.report && !/^#\/?run\/./.test(location.hash)) location.replace(`#/run/${encodeURIComponent(session.report)}`);
  const [place, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = place.split("/").map(decodeURIComponent), options = new URLSearchParams(query ?? "");
  const [kind, run, part, item] = parts, home = run ? `#/run/${encodeURIComponent(run)}` : "";
  const view = [kind, run, part === "trial" ? item : ""].join("/");
  if (kind === "run" && run && part !== "trial" && shown === view && main.turn) {
    main.turn(part || "overview");
    return;
  }
  leave();
  main.turn = main.print = null;
  shown = view;
  linked(false);
  const context = { main, linked, options };
  if (kind === "run" && run && part === "trial") {
    trail([run, home], [`trial ${item}`]);
    leave = trialView(context, run, Number(item));
  } else if (kind === "run" && run) {
    trail([run]);
    leave = runView(context, run, part || "overview");
  } else if (kind === "compare") {
    trail(["compare"]);
    leave = compareView(context, options.getAll("run"));
  } else {
    trail([session.store.split("/").pop() || session.store]);
    leave = storeView(context);
  }
}

function wear(theme) {
  document.documentElement.dataset.theme = theme;
  keep("tunedsl-theme", theme);
  restyle();
}

document.getElementById("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  wear(dark ? "light" : "dark");
});
if (kept("tunedsl-theme")) document.documentElement.dataset.theme = kept("tunedsl-theme");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);

const KEYS = [
  ["/", "filter or search"], ["↑ ↓", "move in a table"], ["← →", "choose a trial in a figure"], ["Enter", "open the row, or the trial"], ["Space", "select the row"],
  ["b", "the best trial"], ["h", "all runs"], ["1 … 8", "the views of a run"], ["?", "this help"],
];
function help() {
  const close = h("button", { type: "button", class: "primary" }, "Close");
  const box = dialog("Keyboard", h("dl", { class: "keys" }, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])), close);
  close.addEventListener("click", () => box.close());
}
document.getElementById("help").addEventListener("click", help);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  if (event.key === "?") help();
  else if (event.key === "h") location.hash = "#/";
  else if (event.key === "/") {
    const field = document.querySelector("input[type=search]");
    if (field) { event.preventDefault(); field.focus(); }
  } else if (event.key === "b") document.querySelector("a.best")?.click();
  else if (/^[1-9]$/.test(event.key)) document.querySelectorAll("nav.tabs a")[Number(event.key) - 1]?.click();
  else return;
});

document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
// A report prints whole: what is printed is made when the browser begins to.
let theme = "";
function print(isPrinted) {
  const { classList, dataset } = document.documentElement;
  if (!session.report || classList.contains("paper") === isPrinted) return;
  classList.toggle("paper", isPrinted);
  if (isPrinted) theme = dataset.theme;
  if (isPrinted || theme) dataset.theme = isPrinted ? "light" : theme; else delete dataset.theme;
  main.print?.(isPrinted);
  restyle();
}
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
matchMedia("print").addEventListener("change", (event) => print(event.matches));

addEventListener("hashchange", show);
begin().then(show, (error) => fill(main, h("p", { class: "wrong" }, error.message)));
