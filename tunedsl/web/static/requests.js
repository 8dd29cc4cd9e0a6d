// The answers of a server: requests, and streams of updates. A report has `embedded.js` in place of this module.
async function answer(response) {
  if (response.status === 401) location.replace("/login");
  const found = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Error(found.error || `The server answered ${response.status}.`);
  return found;
}

export async function ask(address) {
  return answer(await fetch(address));
}

export async function send(address, content, csrf) {
  return answer(await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json", "x-tunedsl-csrf": csrf },
    body: JSON.stringify(content),
  }));
}

// Whether there is an answer.
export function holds() {
  return true;
}

// Adds the library that draws to the page.
export function addPlotly() {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.addEventListener("load", done);
    script.addEventListener("error", () => failed(new Error("plotly could not be loaded")));
    script.src = "/static/plotly.min.js";
    document.head.append(script);
  });
}

// Calls `update` with each new content until the returned function is called; `linked` is told whether it is live.
// A stream ends while its page is hidden, and begins again with it.
export function follow(address, update, linked) {
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address);
    source.onopen = () => linked(true);
    source.onerror = () => linked(false);
    source.onmessage = (event) => update(JSON.parse(event.data));
  };
  const close = () => { source?.close(); source = null; };
  const turn = () => { if (document.hidden) close(); else open(); };
  document.addEventListener("visibilitychange", turn);
  open();
  return () => { document.removeEventListener("visibilitychange", turn); close(); };
}
