// The board: open incidents and alerts by severity; and the course of one of them.

import * as api from "./api.js";
import { factsOf } from "./body.js";
import { button, choice, el, field, filled, heading, input, notice, outside, pairs, said, table } from "./dom.js";
import { labels } from "./event.js";
import { age, badge, route, time, tone } from "./format.js";
import { t, word } from "./words.js";

const ORDER = ["critical", "warning", "info", "ok", ""];
const PAGE = 50;
const AT_ONCE = 6;
const PAGES = 10;

/** Whether the receiver can list what is open; one that cannot is asked for all. */
let listsOpen = true;

async function page(cursor, open, signal) {
  const params = { limit: PAGE, cursor };
  if (open && listsOpen) {
    try {
      return await api.get("subjects", { ...params, open: "true" }, signal);
    } catch (error) {
      if (error.status !== 400) throw error;
      listsOpen = false;
    }
  }
  return api.get("subjects", params, signal);
}

/** Gives each row what its last event says of it, where the list does not. */
async function enrich(rows, signal) {
  const waiting = rows.filter((row) => row.last_event_type === undefined && row.about === undefined);
  const work = async () => {
    for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) {
      row.about = await factsOf(row.last_seq, signal).catch((error) => {
        if (api.gone(error)) throw error;
        // Pruned, or no JSON: it has its name at least.
        return {};
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const row of rows) row.about ??= listed(row);
}

function listed(row) {
  const { title, severity, status, progress, detail_url: url } = row;
  const started = row.started_at === undefined ? undefined : Date.parse(row.started_at);
  return { title, severity, status, progress, url, started, channel: row.channel_name, responders: row.responders ?? [] };
}

function closed(row) {
  const { progress, status } = row.about;
  if (["i_rslv", "a_close"].includes(row.last_event_type)) return true;
  if (progress !== undefined) return progress.toLowerCase() === "closed";
  return status?.toLowerCase() === "ok";
}

function rank(row) {
  const at = ORDER.indexOf(String(row.about.severity ?? "").toLowerCase());
  return at < 0 ? ORDER.length : at;
}

export async function board(main, { params, signal, go }) {
  const kind = params.get("kind") ?? "";
  const all = params.get("all") === "yes";
  const kinds = [["", t("incidents.both")], ["incident", t("incidents.incidents")], ["alert", t("incidents.alerts")]];
  const which = [["", t("incidents.open")], ["yes", t("incidents.all")]];
  const find = input("find", "", { type: "search", "data-search": true, placeholder: "incident:664af0" });
  const form = el("form", { class: "filter", role: "search" },
    field(t("incidents.kind"), choice("kind", kinds, kind)),
    field(t("incidents.which"), choice("all", which, all ? "yes" : "")),
    field(t("incidents.find"), find),
    el("button", { class: "first" }, t("search")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { find: name, ...rest } = filled(form);
    const full = name && !/^(incident|alert):/.test(name) ? `incident:${name}` : name;
    if (full) go(`/incidents/${encodeURIComponent(full)}`, {});
    else go("/incidents", rest);
  });
  const shown = el("div");
  const count = el("p", { role: "status" }, t("loading"));
  main.append(heading(t("incidents.title"), count), form, shown);

  const rows = [];
  let cursor;
  const more = button(t("list.more"), () => load());
  const load = async () => {
    // A page that has nothing to show is not always the last.
    const before = rows.length;
    for (let asked = 0; asked < PAGES && rows.length === before; asked += 1) {
      const next = await page(cursor, !all, signal);
      const fitting = next.items.filter((row) => kind === "" || row.subject.startsWith(`${kind}:`));
      await enrich(fitting, signal);
      rows.push(...fitting.filter((row) => all || !closed(row)));
      cursor = next.next_cursor;
      if (cursor === undefined) break;
    }
    more.hidden = cursor === undefined;
    const sorted = [...rows].sort((a, b) => rank(a) - rank(b) || b.last_seq - a.last_seq);
    shown.replaceChildren(el("section", {}, draw(sorted)), el("div", { class: "row" }, more));
    count.textContent = t(cursor === undefined ? "incidents.count" : "incidents.count_so_far", { n: rows.length });
  };
  await load();
}

function draw(rows) {
  return table({
    caption: t("incidents.by_severity"),
    empty: t("incidents.none"),
    rows,
    rowClass: (row) => `edge-${tone(row.about.severity) || "plain"}`,
    columns: [
      { name: t("field.title"), kind: "wide", cell: name },
      { name: t("field.severity"), cell: (row) => badge("severity", row.about.severity) || "–" },
      { name: t("field.progress"), cell: (row) => badge("progress", row.about.progress) || "–" },
      { name: t("field.channel"), cell: (row) => (row.about.channel ? said(row.about.channel) : "–") },
      { name: t("field.responders"), cell: (row) => (row.about.responders?.length ? said(row.about.responders.join(", ")) : "–") },
      { name: t("incidents.since"), kind: "near", cell: (row) => age(row.about.started) },
      { name: t("incidents.last"), kind: "near", cell: last },
      { name: t("field.route"), kind: "mono", cell: (row) => said(route(row)) },
    ],
  });
}

function name(row) {
  const href = `#/incidents/${encodeURIComponent(row.subject)}`;
  return [el("a", { href }, said(row.about.title ?? row.subject)), " ", el("span", { class: "muted mono" }, said(row.subject))];
}

function last(row) {
  const type = row.last_event_type;
  return [
    el("a", { href: `#/events/${row.last_seq}` }, age(row.last_received_at)), " ",
    type === undefined ? null : el("span", { class: "muted" }, said(word("type", type))),
  ];
}

/** What the row that changed last says of its subject, where the receiver tells. */
function told(rows) {
  const last = rows.reduce((a, b) => (a !== undefined && a.last_seq >= b.last_seq ? a : b), undefined);
  if (last?.last_event_type === undefined) return {};
  return Object.fromEntries(Object.entries(listed(last)).filter(([, value]) => value !== undefined));
}

export async function course(main, { segments, signal }) {
  const subject = segments[1];
  const path = `subjects/${encodeURIComponent(subject)}`;
  const [detail, deliveries] = await Promise.all([
    api.get(path, { limit: 100 }, signal),
    api.get("deliveries", { subject, limit: 500 }, signal).catch((error) => {
      if (api.gone(error)) throw error;
      return { items: [], trouble: error.message };
    }),
  ]);
  const newest = Math.max(...detail.events.items.map((row) => row.seq), ...detail.routes.map((row) => row.last_seq));
  const about = { ...await factsOf(newest, signal).catch(() => ({})), ...told(detail.routes) };
  const sinks = new Map();
  for (const one of deliveries.items) sinks.set(one.seq, [...(sinks.get(one.seq) ?? []), one]);
  main.append(
    heading(about.title ? said(about.title) : said(subject), badge("severity", about.severity), badge("progress", about.progress)),
    el("section", {}, pairs(
      [t("field.subject"), el("code", {}, said(subject))],
      [t("field.channel"), about.channel ? said(about.channel) : null],
      [t("field.responders"), about.responders?.length ? said(about.responders.join(", ")) : null],
      [t("incidents.since"), about.started ? [time(about.started), " · ", age(about.started)] : null],
      [t("field.description"), about.description ? said(about.description) : null],
      [t("field.labels"), about.labels?.length ? labels(about.labels) : null],
      [t("field.link"), about.url ? outside(about.url) : null],
      [t("field.route"), el("code", {}, said(detail.routes.map(route).join(", ")))],
    )),
    el("section", {},
      deliveries.trouble ? notice("bad", t("incidents.sinks.unknown", { why: deliveries.trouble })) : null,
      timeline(detail.events.items, sinks), further(subject, path, detail, sinks, signal)));
}

function timeline(rows, sinks) {
  return table({
    caption: t("incidents.timeline"),
    empty: t("events.none"),
    rows,
    columns: [
      { name: t("field.received"), kind: "near", cell: (row) => el("a", { href: `#/events/${row.seq}` }, time(row.received_at)) },
      { name: t("field.type"), kind: "mono", cell: (row) => [said(row.event_type), " ", el("span", { class: "muted" }, word("type", row.event_type) === row.event_type ? "" : word("type", row.event_type))] },
      { name: t("field.outcome"), cell: (row) => badge("outcome", row.outcome) },
      { name: t("field.event_time"), kind: "near", cell: (row) => time(row.event_time) },
      { name: t("incidents.sinks"), kind: "wide", cell: (row) => (sinks.get(row.seq) ?? []).map((one) => [el("span", { class: "mono" }, one.sink), " ", badge("state", one.state), " "]) },
      { name: t("field.route"), kind: "mono", cell: (row) => said(route(row)) },
    ],
  });
}

function further(subject, path, detail, sinks, signal) {
  let cursor = detail.events.next_cursor;
  if (cursor === undefined) return null;
  const rest = el("div");
  const more = button(t("list.more"), async () => {
    const next = await api.get(path, { limit: 100, cursor }, signal);
    rest.append(timeline(next.events.items, sinks));
    cursor = next.events.next_cursor;
    more.hidden = cursor === undefined;
  });
  return [rest, el("div", { class: "row" }, more), notice("", t("incidents.long"))];
}
