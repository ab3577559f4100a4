// Asks the receiver. What it refuses comes back as a problem (RFC 9457); without a session the page
// asks for the token.

import { setClock } from "./format.js";
import { t } from "./words.js";

/** Why a request was not answered as asked. */
export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail ?? document?.title ?? `HTTP ${status}`);
    this.status = status;
    this.kind = document?.type ?? "about:blank";
  }
}

let onLocked = () => {};

/** Calls `then` with the problem whenever a request needs a login that is not there. */
export function whenLocked(then) {
  onLocked = then;
}

/** `path` with those of `params` that are there; an empty text is one, such as the route `/`. */
export function address(path, params) {
  const given = Object.entries(params ?? {}).filter(([, value]) => value !== undefined && value !== null);
  const query = new URLSearchParams(given).toString();
  return query ? `${path}?${query}` : path;
}

async function ask(path, options) {
  const answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options }).catch((error) => {
    // What a browser says of it helps nobody, and is in its own language.
    throw gone(error) ? error : new Error(t("unreachable"), { cause: error });
  });
  setClock(answer.headers.get("date"));
  if (answer.ok) return answer;
  const document = await answer.json().catch((error) => {
    // Left meanwhile: what it says is not known, and another request has told it.
    if (gone(error)) throw error;
    return null;
  });
  const problem = new Problem(answer.status, document);
  if (answer.status === 401 && path !== "login") onLocked(problem);
  throw problem;
}

/** `GET api/v1/<path>`, as JSON. */
export async function get(path, params, signal) {
  const answer = await ask(address(`api/v1/${path}`, params), { signal });
  return answer.json();
}

/** `GET api/v1/<path>`, as text: a body may be anything. */
export async function text(path, signal) {
  const answer = await ask(`api/v1/${path}`, { signal });
  return answer.text();
}

/** `GET metrics`, as the text it is. */
export async function metrics(signal) {
  const answer = await ask("metrics", { signal });
  return answer.text();
}

async function send(path, body, signal) {
  const options = { method: "POST", signal };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "content-type": "application/json" };
  }
  return ask(path, options);
}

/** `POST api/v1/<path>`. */
export async function post(path, body, signal) {
  const answer = await send(`api/v1/${path}`, body, signal);
  const told = await answer.text();
  return told === "" ? null : JSON.parse(told);
}

export async function login(token) {
  await send("login", { token });
}

export async function logout() {
  await send("logout");
}

/** Whether `error` is only that the viewer went elsewhere. */
export function gone(error) {
  return error?.name === "AbortError";
}
