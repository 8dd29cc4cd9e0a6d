// Elements and texts. Every text becomes a text node, so that nothing a run says is ever markup.
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || (value === false && !key.startsWith("aria-"))) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true && !key.startsWith("aria-") ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(4).filter((each) => each !== null && each !== undefined && each !== false);
}

export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function number(value, digits = 6) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; size >= 1000 && at < units.length - 1; at++) size /= 1000;
  return `${at ? size.toFixed(1) : size} ${units[at]}`;
}

export function status(name) {
  return h("span", { class: `status ${name}` }, name);
}

// The best value over time, as a line of one text height.
export function spark(points, label) {
  if (!points || points.length < 2) return h("span", { class: "quiet" }, "–");
  const width = 110, height = 24, xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const left = Math.min(...xs), right = Math.max(...xs), low = Math.min(...ys), high = Math.max(...ys);
  const at = ([x, y]) => [
    2 + ((x - left) / (right - left || 1)) * (width - 4), 2 + (1 - (y - low) / (high - low || 1)) * (height - 4),
  ];
  let path = "";
  points.map(at).forEach(([x, y], place) => { path += place ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)},${y.toFixed(1)}`; });
  const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "spark", role: "img", "aria-label": label });
  image.append(svg("path", { d: path }));
  return image;
}

export function meter(share, label) {
  const percent = Math.round(100 * Math.max(0, Math.min(1, share || 0)));
  return h("div", { class: "meter", role: "progressbar", "aria-valuenow": percent, "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": label },
    h("div", { style: { width: `${percent}%` } }));
}

// What the browser remembers; a page in a frame or a file may not be allowed to.
export function kept(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

export function keep(name, text) {
  try { localStorage.setItem(name, text); } catch { /* it is forgotten */ }
}

export function toast(text, wrong = false) {
  const shown = h("div", { class: wrong ? "toast wrong" : "toast" }, text);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), wrong ? 12000 : 6000);
}

export function copyable(text) {
  const button = h("button", { type: "button", class: "small", title: "Copy" }, "copy");
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); toast("Copied."); } catch { toast("The browser does not allow copying.", true); }
  });
  return h("span", { class: "copyable" }, h("code", {}, text), " ", button);
}

export function dialog(title, ...content) {
  const box = h("dialog", { "aria-label": title }, h("h2", {}, title), ...content);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

export function table(names, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": names.join(", ") }, h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
}

export function card(title, ...content) {
  return h("section", { class: "card" }, h("h2", {}, title), ...content);
}
