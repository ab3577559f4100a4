// Dead letters: what was given up at a sink, and every other state a delivery can be in.

import { change } from "./change.js";
import * as api from "./api.js";
import { button, choice, el, field, filled, heading, input, said } from "./dom.js";
import { subject } from "./events.js";
import { badge, time } from "./format.js";
import { listing } from "./list.js";
import { t, word } from "./words.js";

const STATES = ["dead", "expired", "pending", "leased", "delivered", "superseded", "dropped"];
const SELECTORS = ["sink", "state", "subject", "event_type", "event_id", "since", "until"];
/** States in which a delivery is still to be had, or was given up: only those can be dropped. */
const DROPPABLE = ["dead", "pending"];

export async function show(main, { params, signal, go, refresh }) {
  const status = await api.get("status", {}, signal);
  const selector = { state: "dead" };
  for (const name of SELECTORS) {
    const value = params.get(name);
    if (value) selector[name] = value;
  }
  const state = selector.state;
  const act = (action) => button(t(`change.${action}.selected`), () => change(action, selector, refresh),
    { class: action === "drop" ? "danger" : "first" });
  main.append(
    heading(t("dead.title"), el("p", {}, t("dead.means"))),
    filter(selector, status.sinks.map((sink) => sink.sink), go));
  const list = await listing({
    path: "deliveries",
    params: selector,
    caption: t("dead.caption", { state: word("state", state) }),
    empty: t("dead.none"),
    columns: columns(refresh),
    rowClass: (row) => (row.state === "dead" ? "edge-critical" : ""),
    signal,
  });
  main.append(el("section", {}, list,
    el("div", { class: "row" },
      ["pending", "leased"].includes(state) ? null : act("replay"),
      DROPPABLE.includes(state) ? act("drop") : null,
      el("span", { class: "muted" }, t("change.shows_first")))));
}

function columns(refresh) {
  return [
    { name: t("field.event"), kind: "mono", cell: (row) => el("a", { href: `#/events/${row.seq}` }, row.seq) },
    { name: t("field.sink"), kind: "near mono", cell: (row) => row.sink },
    { name: t("field.state"), cell: (row) => badge("state", row.state) },
    { name: t("field.type"), kind: "near mono", cell: (row) => said(row.event_type) },
    { name: t("field.subject"), kind: "mono subject", cell: subject },
    { name: t("field.attempts"), kind: "num", cell: (row) => row.attempts },
    { name: t("event.settled"), kind: "near", cell: (row) => time(row.settled_at) },
    { name: t("field.error"), kind: "wide", cell: (row) => (row.last_error ? said(row.last_error) : "–") },
    {
      name: t("field.action"),
      cell: (row) => (["pending", "leased"].includes(row.state)
        ? ""
        : button(t("replay.one"), () => change("replay", { seq: row.seq, sink: row.sink }, refresh))),
    },
  ];
}

function filter(selector, sinks, go) {
  const names = [["", t("any")], ...sinks.map((name) => [name, name])];
  if (selector.sink && !sinks.includes(selector.sink)) names.push([selector.sink, selector.sink]);
  const text = (name, hint) => field(t(`field.${name}`), input(name, selector[name] ?? "", { placeholder: hint, size: "13" }));
  const form = el("form", { class: "filter", role: "search" },
    field(t("field.sink"), choice("sink", names, selector.sink ?? "")),
    field(t("field.state"), choice("state", STATES.map((state) => [state, word("state", state)]), selector.state)),
    field(t("field.subject"), input("subject", selector.subject ?? "", { type: "search", "data-search": true, placeholder: "incident:664af0" })),
    text("event_type", "i_new"),
    text("event_id", ""),
    text("since", "2h"),
    text("until", "30m"),
    el("button", { class: "first" }, t("search")),
    el("a", { class: "button", href: "#/dead" }, t("reset")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go("/dead", filled(form));
  });
  return form;
}
