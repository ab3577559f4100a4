// One event: what it says, how it came here and was judged, and what became of it at each sink.

import * as api from "./api.js";
import { bodySection, facts } from "./body.js";
import { change } from "./change.js";
import { button, choice, el, field, filled, heading, notice, outside, pairs, said, table } from "./dom.js";
import { age, badge, duration, number, route, time } from "./format.js";
import { subject } from "./events.js";
import { t, word } from "./words.js";

export async function show(main, { segments, signal, refresh }) {
  const seq = encodeURIComponent(segments[1]);
  const [event, content, status] = await Promise.all([
    api.get(`events/${seq}`, {}, signal),
    api.text(`events/${seq}/body`, signal),
    api.get("status", {}, signal).catch(() => null),
  ]);
  const about = facts(content);
  main.append(
    heading(t("event.title", { seq: String(event.seq) }), badge("outcome", event.outcome), badge("severity", about.severity)),
    summary(event, about),
    el("div", { class: "grid" }, chain(event), identity(event)),
    deliveries(event, status, refresh),
    bodySection(content, `api/v1/events/${event.seq}/body`, event.body_bytes),
  );
}

function summary(event, about) {
  return el("section", {},
    el("h2", {}, about.title ? said(about.title) : said(event.event_type)),
    pairs(
      [t("field.subject"), subject(event)],
      [t("field.progress"), badge("progress", about.progress)],
      [t("field.channel"), about.channel ? said(about.channel) : null],
      [t("field.responders"), about.responders?.length ? said(about.responders.join(", ")) : null],
      [t("field.person"), about.person ? said(about.person) : null],
      [t("field.description"), about.description ? said(about.description) : null],
      [t("field.labels"), about.labels?.length ? labels(about.labels) : null],
      [t("field.link"), about.url ? outside(about.url) : null],
    ));
}

export function labels(list) {
  return el("ul", { class: "labels" }, list.map(([name, value]) => el("li", {}, said(`${name}=${value}`))));
}

function identity(event) {
  return el("section", {},
    el("h2", {}, t("event.facts")),
    pairs(
      [t("field.event_id"), el("code", {}, event.event_id ?? "–")],
      [t("field.seq"), el("code", {}, event.seq)],
      [t("field.type"), el("code", {}, said(event.event_type))],
      [t("field.event_time"), time(event.event_time)],
      [t("field.received"), [time(event.received_at), " · ", age(event.received_at)]],
      [t("field.origin"), word("origin", event.origin)],
      [t("field.route"), el("code", {}, said(route(event)))],
      [t("field.source"), el("code", {}, event.source_ip ?? "–")],
      [t("field.peer"), el("code", {}, event.peer_ip ?? "–")],
    ));
}

function arrival(event) {
  const values = { client: event.source_ip, peer: event.peer_ip, route: route(event) };
  if (event.origin === "recovered") return t("chain.recovered", values);
  if (event.origin === "replay") return t("chain.offered", values);
  if (!event.source_ip) return t("chain.unjudged", values);
  return t(event.peer_ip && event.peer_ip !== event.source_ip ? "chain.through" : "chain.direct", values);
}

function judged(event) {
  const late = event.event_time === undefined ? null : Date.parse(event.received_at) - event.event_time;
  const lag = late === null
    ? t("chain.no_time")
    : t(late < 0 ? "chain.before" : "chain.after", { time: duration(Math.abs(late)) });
  return `${t(event.outcome === "stale" ? "chain.stale" : "chain.accepted", { seq: String(event.seq) })} ${lag}`;
}

/** The same chain as `explain` tells, then what each sink made of it. */
function chain(event) {
  const values = { type: event.event_type, id: event.event_id ?? "–", subject: event.subject ?? "–" };
  const sinks = event.deliveries.map((one) => {
    const told = t("chain.sink", { sink: one.sink, state: word("state", one.state), n: one.attempts });
    return one.last_error && one.state !== "delivered" ? [told, " ", said(one.last_error)] : told;
  });
  const steps = [
    arrival(event),
    said(t(event.command ? "chain.command" : "chain.change", values)),
    judged(event),
    ...(sinks.length > 0 ? sinks : [t("chain.no_sink")]),
  ];
  return el("section", {},
    el("h2", {}, t("chain.title")),
    el("ol", { class: "chain" }, steps.map((step) => el("li", {}, step))));
}

/** What is kept of the attempts of a delivery; below the table, which has no room for it. */
function attempts(delivery) {
  if (!delivery.history?.length) return null;
  const caption = t("event.attempts", { sink: delivery.sink });
  return el("details", { class: "history" }, el("summary", {}, caption), table({
    caption,
    rows: delivery.history,
    columns: [
      { name: t("event.attempt"), cell: (one) => one.n, kind: "num" },
      { name: t("event.began"), cell: (one) => time(one.began), kind: "near" },
      { name: t("event.took"), cell: (one) => (one.began ? duration(Date.parse(one.ended) - Date.parse(one.began)) : "–"), kind: "num" },
      { name: t("field.outcome"), cell: (one) => badge("attempt", one.outcome) },
      { name: t("event.status"), cell: (one) => one.status ?? "–", kind: "num" },
      { name: t("field.error"), cell: (one) => (one.error ? said(one.error) : "–") },
      { name: t("event.answer"), cell: (one) => (one.answer ? el("code", {}, said(one.answer)) : "–") },
    ],
  }));
}

function deliveries(event, status, refresh) {
  const seq = event.seq;
  const replay = (selector) => () => change("replay", { seq, ...selector }, refresh);
  const shown = table({
    caption: t("event.deliveries"),
    rows: event.deliveries,
    empty: t("event.no_deliveries"),
    columns: [
      { name: t("field.sink"), cell: (one) => one.sink, kind: "mono" },
      { name: t("field.state"), cell: (one) => [badge("state", one.state), one.replay ? [" ", t("event.replayed")] : null] },
      { name: t("field.attempts"), cell: (one) => number(one.attempts) },
      { name: t("event.due"), cell: (one) => time(one.due_at), kind: "near" },
      { name: t("event.settled"), cell: (one) => time(one.settled_at), kind: "near" },
      { name: t("field.error"), cell: (one) => (one.last_error ? said(one.last_error) : "–"), kind: "wide" },
      { name: t("field.action"), cell: (one) => button(t("replay.one"), replay({ sink: one.sink })) },
    ],
  });
  return el("section", {}, shown,
    event.deliveries.map(attempts),
    event.deliveries.length > 1 ? el("div", { class: "row" }, button(t("replay.all_sinks"), replay({}))) : null,
    elsewhere(event, status, refresh));
}

/** A delivery to a sink that has none of it. */
function elsewhere(event, status, refresh) {
  const has = new Set(event.deliveries.map((one) => one.sink));
  // Nothing is delivered to one that is not configured now.
  const there = (status?.sinks ?? []).filter((one) => one.configured);
  const others = there.map((one) => one.sink).filter((name) => !has.has(name));
  if (others.length === 0) return null;
  const form = el("form", { class: "filter" },
    field(t("replay.other"), choice("sink", others.map((name) => [name, name]))),
    el("label", { class: "tick" }, el("input", { type: "checkbox", name: "no_filter" }), t("replay.no_filter")),
    el("button", {}, t("replay.send")));
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    const { sink, no_filter } = filled(form);
    change("replay", { seq: event.seq, sink, create: true, no_filter: no_filter === "on" }, refresh);
  });
  return el("details", {}, el("summary", {}, t("replay.elsewhere")), notice("", t("replay.elsewhere.means")), form);
}
