// A push's body: read for what it says, laid out without changing a digit, shown as text only.

import * as api from "./api.js";
import { button, el, speak } from "./dom.js";
import { bytes } from "./format.js";
import { t } from "./words.js";

/** More than this is a download: a page of a million lines helps nobody. */
const SHOWN = 256 * 1024;
const DEEPEST = 200;

/**
 * JSON with line breaks and indents, every token as it came: a number past 2^53 keeps its digits.
 * `null` when the text is no JSON.
 */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const out = [];
  let depth = 0;
  const line = () => out.push("\n", "  ".repeat(Math.min(depth, DEEPEST)));
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      out.push(token);
      depth += 1;
      line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      // An empty object or list stays on its line.
      if (out.at(-2) === "\n" && (out.at(-3) === "{" || out.at(-3) === "[")) out.length -= 2;
      else line();
      out.push(token);
    } else if (token === ",") {
      out.push(token);
      line();
    } else if (token === ":") {
      out.push(": ");
    } else {
      out.push(token);
    }
  }
  return out.join("");
}

/** What says something: by the receiver's rule, which `trim` differs from in U+FEFF and U+0085. */
function text(value) {
  return typeof value === "string" && /\P{White_Space}/u.test(value) ? value : undefined;
}

function names(people) {
  if (!Array.isArray(people)) return [];
  return people.map((person) => text(person?.person_name) ?? text(person?.email)).filter(Boolean);
}

function seconds(value) {
  return typeof value === "number" && value > 0 ? value * 1000 : undefined;
}

/** What a body says of its incident or alert, as far as it has the documented shape. */
export function facts(source) {
  let push;
  try {
    push = JSON.parse(source);
  } catch {
    return {};
  }
  const incident = push?.incident ?? {};
  const alert = push?.alert ?? {};
  const about = push?.incident ? incident : alert;
  const labels = about.labels !== null && typeof about.labels === "object" ? Object.entries(about.labels) : [];
  return {
    title: text(about.title),
    severity: text(incident.incident_severity) ?? text(alert.alert_severity),
    status: text(incident.incident_status) ?? text(alert.alert_status),
    progress: text(about.progress),
    channel: text(about.channel_name),
    responders: names(incident.responders),
    started: seconds(about.start_time),
    url: text(about.detail_url),
    person: names([push?.person])[0],
    description: text(about.description),
    labels: labels.map(([name, value]) => [name, String(value)]),
  };
}

const remembered = new Map();

/** The facts of the event at `seq`; its body never changes, so it is asked for once. */
export async function factsOf(seq, signal) {
  if (!remembered.has(seq)) {
    const found = facts(await api.text(`events/${seq}/body`, signal));
    if (remembered.size >= 500) remembered.delete(remembered.keys().next().value);
    remembered.set(seq, found);
  }
  return remembered.get(seq);
}

async function copy(node, content) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    // Without TLS browsers have no clipboard for pages, but copy what is selected.
    getSelection().selectAllChildren(node);
    document.execCommand("copy");
  }
}

/** A body as a section: formatted or as it came, to copy and to download. */
export function bodySection(content, href, size) {
  const formatted = pretty(content);
  const shown = el("pre", { tabindex: "0", role: "region", "aria-label": t("body.title"), translate: "no" });
  const cut = el("p", { class: "muted" });
  let whole = "";
  const put = (what) => {
    whole = what;
    shown.textContent = what.slice(0, SHOWN);
    cut.hidden = what.length <= SHOWN;
    cut.textContent = t("body.cut", { size: bytes(SHOWN) });
  };
  const wrap = el("input", { type: "checkbox" });
  wrap.addEventListener("change", () => shown.classList.toggle("wrap", wrap.checked));
  const raw = el("button", { type: "button", "aria-pressed": "false" }, t("body.raw"));
  raw.addEventListener("click", () => {
    const on = raw.getAttribute("aria-pressed") !== "true";
    raw.setAttribute("aria-pressed", String(on));
    put(on ? content : formatted);
  });
  const copied = button(t("body.copy"), async () => {
    await copy(shown, whole);
    speak(t("body.copied"));
    copied.textContent = t("body.copied");
    setTimeout(() => { copied.textContent = t("body.copy"); }, 2000);
  });
  put(formatted ?? content);
  return el("section", {},
    el("h2", {}, t("body.title"), " ", el("span", { class: "muted" }, bytes(size))),
    el("div", { class: "row" },
      formatted === null ? el("span", { class: "muted" }, t("body.no_json")) : raw,
      copied,
      el("a", { class: "button", href, download: true }, t("body.download")),
      el("label", { class: "tick" }, wrap, t("body.wrap"))),
    el("p", {}), shown, cut);
}
