// What the page asks for, of a server or, in a report, of the report's own file.
import { ask, follow, holds, send } from "./requests.js";

// What holds for the whole page: `report` says that there is no server, `absent` which views are left out.
export const session = { csrf: "", read_only: true, store: "", report: false, absent: [] };

function addressed(path, query) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") words.append(name, each);
    }
  }
  const text = words.toString();
  return text ? `${path}?${text}` : path;
}

export async function get(path, query = {}) {
  return ask(addressed(path, query));
}

export function offers(path, query = {}) {
  return holds(addressed(path, query));
}

export async function post(path, content) {
  return send(path, content, session.csrf);
}

export async function begin() {
  Object.assign(session, await get("/api/session"));
}

export function runPath(run, ...parts) {
  return ["/api/runs", encodeURIComponent(run), ...parts].join("/");
}

export const live = follow;
