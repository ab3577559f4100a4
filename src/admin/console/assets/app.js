// The frame: which page is shown, in which language and colours, and the keys.

import * as api from "./api.js";
import * as audit from "./audit.js";
import * as dead from "./dead.js";
import { button, choice, el, heading, notice, speak } from "./dom.js";
import * as event from "./event.js";
import * as events from "./events.js";
import { tick } from "./format.js";
import * as incidents from "./incidents.js";
import * as login from "./login.js";
import * as overview from "./overview.js";
import { recall, remember } from "./prefs.js";
import * as unreadable from "./unreadable.js";
import * as words from "./words.js";

const { t } = words;
const main = document.getElementById("main");

/** The pages by the first segment of their address: of a list, and of one of it. */
const PAGES = {
  "": { name: "overview", list: overview.show },
  incidents: { name: "incidents", list: incidents.board, one: incidents.course },
  events: { name: "events", list: events.show, one: event.show },
  dead: { name: "dead", list: dead.show },
  unreadable: { name: "unreadable", list: unreadable.list, one: unreadable.one },
  audit: { name: "audit", list: audit.show },
};

let leaving = new AbortController();
let first = true;

/** What the address says: `#/events/42?q=…`. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const segments = path.split("/").map((segment) => {
    try {
      return decodeURIComponent(segment);
    } catch {
      return segment;
    }
  });
  return { segments, params: new URLSearchParams(query ?? "") };
}

function go(path, params) {
  const hash = `#${api.address(path, params)}`;
  if (location.hash === hash) render();
  else location.hash = hash;
}

async function render() {
  leaving.abort();
  const here = new AbortController();
  leaving = here;
  const { segments, params } = address();
  const page = Object.hasOwn(PAGES, segments[0]) ? PAGES[segments[0]] : PAGES[""];
  const show = segments[1] && page.one ? page.one : page.list;
  frame(page.name);
  // One for each visit: a page that was left meanwhile draws where nobody looks.
  const content = el("div");
  main.replaceChildren(content);
  main.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => speak(t("loading")), 1000);
  try {
    await show(content, { segments, params, signal: here.signal, go, refresh: render });
  } catch (error) {
    if (api.gone(error) || error.status === 401) return;
    // What the receiver refuses is told on the page; anything else is a mistake in these scripts.
    if (!(error instanceof api.Problem)) console.error(error);
    if (!content.querySelector("h1")) content.append(heading(t(`${page.name}.title`)));
    content.append(notice("bad", error.message), button(t("again"), render));
  } finally {
    clearTimeout(slow);
    if (leaving === here) main.removeAttribute("aria-busy");
  }
  if (!here.signal.aborted) settle(page.name);
}

/** Tells where one is: in the title, and by the focus for those who do not see the page change. */
function settle(name) {
  const title = main.querySelector("h1");
  document.title = `${title?.textContent ?? t(`${name}.title`)} · flashduty-receiver`;
  if (!first && !document.querySelector("dialog[open]")) title?.focus({ preventScroll: true });
  first = false;
}

/** A dialog belongs to the page it was opened on, and would keep everything behind it out of reach. */
function closeDialogs() {
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
}

function locked(problem) {
  leaving.abort();
  closeDialogs();
  frame("");
  main.removeAttribute("aria-busy");
  login.ask(main, problem, render);
  document.title = `${t("login.title")} · flashduty-receiver`;
}

function frame(current) {
  const skip = el("a", { class: "skip", href: "#main" }, t("skip"));
  skip.addEventListener("click", (clicked) => {
    // The address after the # is the page's.
    clicked.preventDefault();
    main.focus();
  });
  const links = Object.entries(PAGES).map(([segment, { name }]) =>
    el("li", {}, el("a", { href: `#/${segment}`, "aria-current": name === current ? "page" : null }, t(`${name}.title`))));
  document.getElementById("top").replaceChildren(skip, el("div", { class: "bar" },
    el("a", { class: "brand", href: "#/" }, "flashduty-receiver"),
    el("nav", { "aria-label": t("nav") }, el("ul", {}, links)),
    tools()));
}

function tools() {
  const languages = choice("language", [["en", "English"], ["zh", "中文"]], words.current());
  languages.setAttribute("aria-label", t("language"));
  languages.addEventListener("change", () => {
    words.choose(languages.value);
    render();
  });
  const names = ["auto", "light", "dark"].map((name) => [name, t(`theme.${name}`)]);
  const themes = choice("theme", names, recall("theme") ?? "auto");
  themes.setAttribute("aria-label", t("theme"));
  themes.addEventListener("change", () => {
    remember("theme", themes.value);
    paint();
  });
  const out = button(t("logout"), async () => {
    await api.logout();
    locked(null);
  });
  out.hidden = recall("session") !== "yes";
  return el("div", { class: "tools" }, languages, themes, out);
}

function paint() {
  const theme = recall("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

document.addEventListener("keydown", (pressed) => {
  const typing = pressed.target.closest?.("input, textarea, select, dialog");
  if (pressed.key !== "/" || typing || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  pressed.preventDefault();
  const search = main.querySelector("[data-search]");
  if (search) search.focus();
  else location.hash = "#/events";
});

paint();
api.whenLocked(locked);
window.addEventListener("hashchange", () => {
  window.scrollTo(0, 0);
  closeDialogs();
  render();
});
setInterval(tick, 1000);
if (location.pathname.endsWith("/login")) {
  frame("");
  login.ask(main, null, () => location.replace(`./${location.hash}`));
} else {
  render();
}
