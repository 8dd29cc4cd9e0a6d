// Requests to the server, and streams of updates. A stream ends while its page is hidden, and begins again with it.
export let session = { csrf: "", read_only: true, store: "" };

export class Refused extends Error {}

async function answer(response) {
  if (response.status === 401) location.replace("/login");
  const found = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Refused(found.error || `The server answered ${response.status}.`);
  return found;
}

export async function get(path, query = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") words.append(name, each);
    }
  }
  const text = words.toString();
  return answer(await fetch(text ? `${path}?${text}` : path));
}

export async function post(path, content) {
  return answer(await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-tunedsl-csrf": session.csrf },
    body: JSON.stringify(content),
  }));
}

export async function begin() {
  session = await get("/api/session");
}

export function runPath(run, ...parts) {
  return ["/api/runs", encodeURIComponent(run), ...parts].join("/");
}

// Calls `update` with each new content until the returned function is called; `linked` is told whether it is live.
export function live(path, update, linked) {
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(path);
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
