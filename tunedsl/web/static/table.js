// The table of trials: only the rows in sight are elements, so that 10,000 trials scroll like ten.
import { runPath, session } from "./api.js";
import { fill, h, keep, kept, number } from "./dom.js";
import { sheets } from "./sheets.js";

const HEIGHT = 31, MARGIN = 12, SAMPLE = 60;
const OPERATORS = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };

export const labelOf = (column) => column.replace(/^(metric|config):/, "");

// The condition of a filter such as `status:failed lr>0.01 adam`; a whole number by itself is a trial's.
function condition(text, columns) {
  const place = new Map(columns.map((column, at) => [labelOf(column).toLowerCase(), at]));
  const tests = text.trim().split(/\s+/).filter(Boolean).map((word) => {
    const found = /^(.+?)(<=|>=|<|>|=|:)(.+)$/.exec(word), at = found && place.get(found[1].toLowerCase());
    if (/^\d+$/.test(word)) return (row) => row[0] === Number(word);
    if (at === undefined || at === null) {
      const low = word.toLowerCase();
      return (row) => row.some((cell) => cell !== null && String(cell).toLowerCase().includes(low));
    }
    const [, , operator, given] = found, amount = Number(given);
    if (operator === ":" || Number.isNaN(amount)) {
      const low = given.toLowerCase();
      return operator === "=" ? (row) => String(row[at]).toLowerCase() === low : (row) => String(row[at] ?? "").toLowerCase().includes(low);
    }
    return (row) => typeof row[at] === "number" && OPERATORS[operator](row[at], amount);
  });
  return (row) => tests.every((test) => test(row));
}

export function trialTable(run, { open, chosen = () => {}, mode = "min", metric = "" }) {
  const rows = new Map(), selected = new Set();
  let columns = [], hidden = new Set(JSON.parse(kept("tunedsl-hidden") ?? '["attempts","checkpoints","number"]'));
  let left = "", picked = null, order = [], sorted = null, turned = false, active = 0, widths = [], seen = [];
  const filter = h("input", { type: "search", class: "filter", placeholder: "filter: 17, adam, status:failed lr>0.01", "aria-label": "Filter the trials" });
  const count = h("span", { class: "quiet", role: "status" });
  const head = h("thead"), body = h("tbody"), group = h("colgroup");
  const table = h("table", { class: "trials", role: "grid", "aria-label": "Trials" }, group, head, body);
  const view = h("div", { class: "scroll virtual", tabindex: "0", role: "region", "aria-label": "Trials, scrollable" }, table);
  const unpick = h("button", { type: "button", class: "tag", hidden: true });
  const menu = h("details", { class: "menu" });
  const download = session.report ? null : h("a", { class: "button", href: runPath(run, "trials.csv"), download: `${run}.csv` }, "CSV");
  const tools = h("div", { class: "tools" }, filter, count, unpick, h("span", { class: "grow" }), menu, download);
  const paper = h("div", { class: "sheets" }), box = h("div", { class: "tablebox" }, tools, view, paper);

  const numeric = (at) => order.slice(0, SAMPLE).some((row) => typeof row[at] === "number");

  function arrange() {
    const holds = condition(filter.value, columns);
    order = [...rows.values()].filter((row) => (!picked || picked.has(row[0])) && holds(row));
    if (sorted === null && metric) { sorted = columns.indexOf(`metric:${metric}`); turned = mode === "max"; if (sorted < 0) sorted = null; }
    if (sorted !== null) {
      const sign = turned ? -1 : 1, failed = columns.indexOf("status");
      order.sort((a, b) => {
        const one = a[sorted], two = b[sorted];
        if (columns[sorted].startsWith("metric:")) {
          const late = (a[failed] === "failed") - (b[failed] === "failed");
          if (late) return late;
        }
        if (typeof one !== "number" || typeof two !== "number") {
          if (typeof one === "number") return -1;
          if (typeof two === "number") return 1;
          if ((one ?? "") === (two ?? "")) return a[0] - b[0];
          return sign * ((one ?? "￿") < (two ?? "￿") ? -1 : 1);
        }
        return sign * (one - two) || a[0] - b[0];
      });
    }
    count.textContent = `${order.length.toLocaleString("en")} of ${rows.size.toLocaleString("en")} trials${left}`;
    unpick.hidden = !picked;
    unpick.textContent = picked ? `${picked.size.toLocaleString("en")} picked in the plot ×` : "";
    active = Math.min(active, Math.max(0, order.length - 1));
    measure();
    titles();
    paint(true);
  }

  function measure() {
    const front = ["trial", "status", `metric:${metric}`, "iterations"], reasons = columns.indexOf("reason");
    const rank = (at) => (front.includes(columns[at]) ? front.indexOf(columns[at]) : front.length);
    const isTold = [...rows.values()].some((row) => row[reasons]);
    seen = columns.map((_, at) => at).filter((at) => !hidden.has(columns[at]) && (at !== reasons || isTold)).sort((a, b) => rank(a) - rank(b) || a - b);
    const some = order.slice(0, SAMPLE);
    widths = seen.map((at) => {
      const longest = Math.max(labelOf(columns[at]).length + 2, ...some.map((row) => text(row[at]).length));
      return Math.min(columns[at] === "reason" ? 44 : 26, longest) * 8.2 + (columns[at] === "status" ? 38 : 24);
    });
    fill(group, h("col", { style: { width: "38px" } }), widths.map((width) => h("col", { style: { width: `${width}px` } })));
    table.style.width = `${38 + widths.reduce((sum, width) => sum + width, 0)}px`;
  }

  function titles() {
    fill(head, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "selected")), seen.map((at) => h("th", {
      scope: "col", class: numeric(at) ? "number" : null, title: columns[at], "aria-sort": sorted === at ? (turned ? "descending" : "ascending") : null,
    }, h("button", { type: "button", onclick: () => { turned = sorted === at ? !turned : false; sorted = at; arrange(); } }, labelOf(columns[at]))))));
  }

  const text = (cell) => (cell === null || cell === undefined ? "" : typeof cell === "number" ? number(cell) : String(cell));

  let first = -1, last = -1;
  function paint(whole = false) {
    const height = view.clientHeight || 480;
    const least = Math.max(0, order.length - Math.ceil(height / HEIGHT));  // after a filter, the rows may all be above the place in sight
    const from = Math.max(0, Math.min(Math.floor(view.scrollTop / HEIGHT), least) - MARGIN), to = Math.min(order.length, Math.ceil((view.scrollTop + height) / HEIGHT) + MARGIN);
    if (!whole && from === first && to === last) return;
    first = from; last = to;
    table.setAttribute("aria-rowcount", order.length + 1);
    const space = (amount) => (amount > 0 ? h("tr", { "aria-hidden": "true", class: "space" }, h("td", { colspan: seen.length + 1, style: { height: `${amount * HEIGHT}px` } })) : null);
    fill(body, space(from), order.slice(from, to).map((row, place) => line(row, from + place)), space(order.length - to));
  }

  function line(row, place) {
    const tick = h("input", { type: "checkbox", "aria-label": `Select trial ${row[1]}`, tabindex: "-1" });
    tick.checked = selected.has(row[0]);
    tick.addEventListener("change", () => select(row[0], tick.checked));
    const made = h("tr", { "aria-rowindex": place + 2, class: place === active ? "active" : null }, h("td", {}, tick), seen.map((at) => cell(row, at)));
    made.addEventListener("click", (event) => { if (!event.target.closest("input, a")) { active = place; open(row[0]); } });
    return made;
  }

  function cell(row, at) {
    const content = text(row[at]);
    if (columns[at] === "status") return h("td", {}, h("span", { class: `status ${content}` }, content));
    if (columns[at] === "trial") return h("td", {}, h("a", { href: `#/run/${encodeURIComponent(run)}/trial/${row[0]}`, tabindex: "-1" }, content));
    return h("td", { class: typeof row[at] === "number" ? "number" : null, title: content.length > 24 ? content : null }, content);
  }

  function select(trial, isOn) {
    if (isOn) selected.add(trial); else selected.delete(trial);
    chosen(selected);
    paint(true);
  }

  function choose() {
    fill(menu, h("summary", { class: "button" }, "Columns"), h("div", { class: "sheet" }, columns.map((column) => {
      const tick = h("input", { type: "checkbox" });
      tick.checked = !hidden.has(column);
      tick.addEventListener("change", () => {
        if (tick.checked) hidden.delete(column); else hidden.add(column);
        keep("tunedsl-hidden", JSON.stringify([...hidden]));
        measure(); titles(); paint(true);
      });
      return h("label", {}, tick, " ", labelOf(column));
    })));
  }

  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
  view.addEventListener("scroll", () => requestAnimationFrame(() => paint()), { passive: true });
  view.addEventListener("keydown", (event) => {
    if (event.target.closest("button, input") && event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) {
      active = Math.max(0, Math.min(order.length - 1, active + step));
      if (active * HEIGHT < view.scrollTop) view.scrollTop = active * HEIGHT;
      else if ((active + 2) * HEIGHT > view.scrollTop + view.clientHeight) view.scrollTop = (active + 2) * HEIGHT - view.clientHeight;
      paint(true);
    } else if (event.key === "Enter" && order[active]) open(order[active][0]);
    else if (event.key === " " && order[active]) select(order[active][0], !selected.has(order[active][0]));
    else return;
    event.preventDefault();
  });
  let waits = 0;
  filter.addEventListener("input", () => { clearTimeout(waits); waits = setTimeout(arrange, 80); });
  unpick.addEventListener("click", () => { picked = null; api.unpicked(); arrange(); });

  const api = {
    box,
    unpicked: () => {},
    take(found) {
      if (found.whole) rows.clear();
      left = found.left ? `; ${found.left}` : "";
      const changed = found.columns.length !== columns.length;
      columns = found.columns;
      for (const row of found.rows) rows.set(row[0], row);
      if (changed || found.whole) choose();
      arrange();
    },
    pick(trials) { picked = trials; arrange(); },
    clear() { selected.clear(); chosen(selected); paint(true); },
    print() { fill(paper, left ? h("p", {}, left.slice(2)) : null, sheets(order, columns.flatMap((name, at) => (at ? [[at, labelOf(name)]] : [])), text)); },
  };
  return api;
}
