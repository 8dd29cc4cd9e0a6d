// The answers that a report contains, in place of `requests.js`. Nothing here waits for the browser: it prints what is
// there after the last promise that needs nothing of it, and so the whole report.
import { inflated } from "./inflate.js";

const blocks = new Map([...document.querySelectorAll("script[data-for]")].map((each) => [each.dataset.for, each]));
const opened = new Map();

function unpacked(name) {
  const element = blocks.get(name);
  const text = new TextDecoder().decode(inflated(Uint8Array.from(atob(element.textContent), (each) => each.charCodeAt(0))));
  element.remove();
  return text;
}

function content(name) {
  if (!opened.has(name)) opened.set(name, JSON.parse(unpacked(name)));
  return opened.get(name);
}

// A report has one run, which its addresses need not name.
const shortened = (address) => address.replace(/^\/api\/(runs\/[^/?]*\/?)?/, "").replace(/^(live)?$/, "now");

function find(address) {
  const name = shortened(address), [path, query] = name.split("?");
  if (blocks.has(name)) return content(name);
  if (path !== "curves") return content(path.startsWith("trials/") ? "trials" : "run")[name];
  const trials = new URLSearchParams(query).getAll("trial");
  return Object.fromEntries(trials.map((trial) => [trial, content("trials")[`curves/${trial}`] ?? {}]));
}

export async function ask(address) {
  const found = find(address);
  if (found === undefined) {
    throw new Error(/^trials\/\d+$/.test(shortened(address)) ? content("run").left_trials : /\/story$/.test(address) ? content("run").left_stories : "The report does not contain this: open the run in the dashboard.");
  }
  return found;
}

export function holds(address) {
  return blocks.has(shortened(address)) || find(address) !== undefined;
}

export async function send() {
  throw new Error("A report cannot change its run: open the run in the dashboard.");
}

export async function addPlotly() {
  const script = document.createElement("script");
  script.textContent = unpacked("plotly");
  document.head.append(script);
}

// Nothing changes any more: `update` is called once.
export function follow(address, update) {
  let isOpen = true;
  ask(address).then((found) => { if (isOpen) update(found); });
  return () => { isOpen = false; };
}
