// Events: found by what is known of them, and live as they come in.

import * as api from "./api.js";
import { button, choice, el, field, filled, heading, input, notice, said, speak, table, tableRow } from "./dom.js";
import { age, badge, duration, route, time } from "./format.js";
import { follow } from "./live.js";
import { t, word } from "./words.js";

const MOST = 2000;
const PAGE = 100;
/** A database may show a commit later than one with a higher position: the list is read this far back. */
const LOOK_BACK = 15_000;
const PAGES_MISSED = 5;
/** A search that finds no room is asked for so often, once a second. */
const TRIES = 5;
const TIMES = ["", "15m", "1h", "6h", "24h", "7d"];
const OUTCOMES = ["accepted", "stale"];

/** What somebody who types only this most likely means. */
export function meant(query) {
  if (/^(incident|alert):./.test(query)) return "subject";
  if (/^[ia]_[a-z_]+$/.test(query)) return "event_type";
  if (/^(\d{1,3}\.){3}\d{1,3}(\/\d+)?$/.test(query) || /^[0-9a-f]*:[0-9a-f:]+(\/\d+)?$/i.test(query)) return "source";
  if (/^[0-9a-f]{24}$/i.test(query)) return "incident";
  if (/^[0-9a-f]{32}$/i.test(query) || /^sha256:/.test(query)) return "event_id";
  return "text";
}

/** The parameters of the API for what the address says. */
function wanted(params) {
  const found = {};
  const query = params.get("q") ?? "";
  const kind = params.get("in") || meant(query);
  if (query && kind === "incident") found.subject = `incident:${query}`;
  else if (query) found[kind] = query;
  for (const name of ["outcome", "since", "until"]) {
    if (params.get(name)) found[name] = params.get(name);
  }
  return found;
}

function matches(row, filter) {
  const same = (name, value) => filter[name] === undefined || filter[name] === value;
  return same("event_id", row.event_id) && same("subject", row.subject) && same("event_type", row.event_type)
    && same("outcome", row.outcome) && same("source", row.source_ip);
}

export function columns() {
  return [
    { name: t("field.received"), kind: "near", cell: (row) => el("a", { href: `#/events/${row.seq}` }, age(row.received_at)) },
    { name: t("field.type"), kind: "near mono", cell: (row) => said(row.event_type) },
    { name: t("field.subject"), kind: "mono subject", cell: subject },
    { name: t("field.title"), kind: "wide", cell: (row) => [row.severity ? [badge("severity", row.severity), " "] : null, row.title ? said(row.title) : ""] },
    { name: t("field.outcome"), cell: (row) => badge("outcome", row.outcome) },
    { name: t("field.route"), kind: "mono", cell: (row) => said(route(row)) },
    { name: t("field.source"), kind: "mono address", cell: (row) => row.source_ip ?? word("origin", row.origin) },
    { name: t("field.event_id"), kind: "mono", cell: (row) => row.event_id ?? "–" },
  ];
}

export function subject(row) {
  return row.subject
    ? el("a", { href: `#/incidents/${encodeURIComponent(row.subject)}` }, said(row.subject))
    : "–";
}

export async function show(main, { params, signal, go }) {
  const filter = wanted(params);
  const live = params.get("live") !== "off" && filter.until === undefined && filter.text === undefined
    && !filter.source?.includes("/");
  const list = new List(filter, signal);
  main.append(heading(t("events.title"), list.state, list.bar), search(params, go));
  main.append(el("section", {}, list.trouble, list.table, el("div", { class: "row" }, list.more, list.reached)));
  if (filter.text !== undefined) list.note(t("events.text_not_live"));
  await list.begin();
  if (live) list.follow();
}

function search(params, go) {
  const when = TIMES.map((value) => [value, value ? t(`time.last.${value}`) : t("time.any")]);
  const since = params.get("since") ?? "";
  if (since && !TIMES.includes(since)) when.push([since, since]);
  const kinds = ["", "event_id", "subject", "event_type", "text", "source"].map((kind) =>
    [kind, kind ? t(`field.${kind}`) : t("events.in.any")]);
  const outcomes = [["", t("any")], ...OUTCOMES.map((outcome) => [outcome, word("outcome", outcome)])];
  const query = input("q", params.get("q") ?? "", {
    type: "search", "data-search": true, placeholder: t("events.search.hint"), size: "38",
  });
  const form = el("form", { class: "filter", role: "search" },
    field(t("events.search"), query),
    field(t("events.in"), choice("in", kinds, params.get("in") ?? "")),
    field(t("field.outcome"), choice("outcome", outcomes, params.get("outcome") ?? "")),
    field(t("time.since"), choice("since", when, since)),
    field(t("time.until"), input("until", params.get("until") ?? "", { placeholder: "2026-05-04T10:00:00Z", size: "22" })),
    el("button", { class: "first" }, t("search")),
    el("a", { class: "button", href: "#/events" }, t("reset")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go("/events", filled(form));
  });
  return form;
}

/** The rows that are shown, by position, and those held back while a person reads. */
class List {
  constructor(filter, signal) {
    this.filter = filter;
    this.signal = signal;
    this.columns = columns();
    this.rows = new Map();
    this.held = new Map();
    this.leftOut = 0;
    this.heldFrom = -Infinity;
    this.paused = false;
    this.unsaid = 0;
    this.heldUp = false;
    this.state = el("span", { class: "badge" }, t("live.off"));
    this.trouble = el("div");
    this.table = table({ caption: t("events.newest"), columns: this.columns, rows: [] });
    this.body = this.table.querySelector("tbody");
    this.pause = button(t("live.pause"), () => this.toggle());
    this.bar = el("div", { class: "row", hidden: true }, this.pause);
    this.more = button(t("list.more"), () => this.older(), { hidden: true });
    this.reached = el("span", { class: "muted" });
  }

  note(text) {
    this.trouble.replaceChildren(notice("", text));
  }

  async page(cursor) {
    const searches = this.filter.text !== undefined || this.filter.source !== undefined;
    for (let tries = 1; ; tries += 1) {
      try {
        return await api.get("events", { ...this.filter, limit: PAGE, cursor }, this.signal);
      } catch (error) {
        // Others search as well: one of them ends in a moment.
        if (error.status !== 503 || !searches || tries === TRIES) throw error;
        await new Promise((resolve) => { setTimeout(resolve, 1000); });
      }
    }
  }

  async begin() {
    try {
      await this.load();
      if (this.rows.size === 0) this.table.append(el("p", { class: "muted" }, t("events.none")));
    } finally {
      if (this.rows.size === 0) await this.lookInSpill();
    }
  }

  /** An event that came while the database is away is not in the store yet. */
  async lookInSpill() {
    const { event_id } = this.filter;
    if (event_id === undefined) return;
    const spill = await api.get("spilled", { event_id }, this.signal).catch(() => null);
    if (spill?.found?.length > 0) this.note(t("events.in_spill", { n: spill.found.length }));
  }

  reach(cursor) {
    this.cursor = cursor;
    this.more.hidden = cursor === undefined;
  }

  older() {
    return this.load(this.cursor);
  }

  /** Shows what is next. A search may find nothing on a page, and goes on until there is something. */
  async load(cursor) {
    const page = await this.page(cursor);
    page.items.forEach((row) => this.put(row, false));
    this.reach(page.next_cursor);
    if (page.searched_to) this.reached.replaceChildren(t("events.searched"), " ", time(page.searched_to));
    if (page.items.length === 0 && page.next_cursor !== undefined) await this.load(page.next_cursor);
  }

  /** Shows a row at its place; whether it is a new one. */
  put(row, isNew) {
    if (this.rows.has(row.seq)) return false;
    const line = tableRow(this.columns, row, isNew ? "new" : null);
    line.dataset.seq = row.seq;
    let before = this.body.firstElementChild;
    while (before && Number(before.dataset.seq) > row.seq) before = before.nextElementSibling;
    this.body.insertBefore(line, before);
    this.rows.set(row.seq, row);
    this.table.querySelector("table ~ p")?.remove();
    return true;
  }

  follow() {
    this.bar.hidden = false;
    follow({
      filter: this.filter,
      signal: this.signal,
      onEvent: (row) => this.arrive(row),
      onMissed: () => this.catchUp(),
      onGap: (gap) => this.miss(gap),
      onWaiting: ({ seconds }) => this.holdUp(seconds),
      onState: (state) => {
        this.state.className = `badge is-${{ live: "ok", waiting: "warning", off: "plain" }[state]}`;
        this.state.textContent = t(`live.${state}`);
      },
    });
    const said = setInterval(() => {
      if (this.unsaid > 0) speak(t("live.said", { n: this.unsaid }));
      this.unsaid = 0;
    }, 5000);
    this.signal.addEventListener("abort", () => clearInterval(said));
  }

  /** Tells of events that nobody can have any more. Of another store nothing shown here is true. */
  miss({ after, from }) {
    if (from <= after) {
      this.forget(Infinity);
      this.catchUp();
    }
    this.note(t("live.gap", { after: String(after), from: String(from) }));
  }

  holdUp(seconds) {
    this.heldUp = true;
    this.note(t("live.held", { time: duration(seconds * 1000) }));
  }

  arrive(row) {
    if (this.heldUp) this.trouble.replaceChildren();
    this.heldUp = false;
    if (!matches(row, this.filter) || this.rows.has(row.seq)) return;
    if (this.paused) {
      this.hold(row);
      return;
    }
    if (this.put(row, true)) this.unsaid += 1;
    if (this.rows.size > MOST) this.cut(MOST * 0.75);
  }

  /** Keeps a row back, and no more of them than the page may show: the oldest are left out. */
  hold(row) {
    if (row.seq < this.heldFrom) return;
    this.held.set(row.seq, row);
    if (this.held.size > MOST) {
      const newest = [...this.held.values()].sort((one, other) => other.seq - one.seq).slice(0, MOST * 0.75);
      this.leftOut += this.held.size - newest.length;
      this.heldFrom = newest.at(-1).seq;
      this.held = new Map(newest.map((kept) => [kept.seq, kept]));
    }
    this.pause.textContent = t("live.resume", { n: this.held.size + this.leftOut });
  }

  toggle() {
    this.paused = !this.paused;
    const { held, leftOut, heldFrom } = this;
    Object.assign(this, { held: new Map(), leftOut: 0, heldFrom: -Infinity });
    if (leftOut > 0) {
      // Nothing is shown beside what does not follow it.
      this.forget(heldFrom);
      this.reach(undefined);
    }
    held.forEach((row) => this.arrive(row));
    if (leftOut > 0) this.note(t("live.left_out", { n: leftOut }));
    this.pause.textContent = this.paused ? t("live.resume", { n: 0 }) : t("live.pause");
  }

  /** Leaves the oldest rows out; what lies before is found by its time. */
  cut(most) {
    while (this.body.children.length > most) {
      const last = this.body.lastElementChild;
      this.rows.delete(Number(last.dataset.seq));
      last.remove();
    }
    this.reach(undefined);
    this.note(t("events.cut", { n: Math.round(most) }));
  }

  /** Leaves out what lies before `seq`. */
  forget(seq) {
    for (const line of [...this.body.children]) {
      if (Number(line.dataset.seq) >= seq) continue;
      this.rows.delete(Number(line.dataset.seq));
      line.remove();
    }
  }

  /** Fetches what came while nobody listened, back to what is shown already. */
  async catchUp() {
    const known = [...this.rows.values()].map((row) => Date.parse(row.received_at));
    const back = known.length > 0 ? Math.max(...known) - LOOK_BACK : -Infinity;
    const found = [];
    let cursor;
    let joined = known.length === 0;
    try {
      for (let pages = 0; pages < PAGES_MISSED; pages += 1) {
        const page = await this.page(cursor);
        found.push(...page.items);
        cursor = page.next_cursor;
        joined = joined || cursor === undefined || Date.parse(page.searched_to ?? "") < back
          || page.items.some((row) => Date.parse(row.received_at) < back);
        if (joined) break;
      }
    } catch (error) {
      if (!api.gone(error)) this.trouble.replaceChildren(notice("bad", error.message));
      return;
    }
    if (!joined) {
      // Too many for one look: the list goes on behind them, so that none is skipped.
      this.forget(Math.min(...found.map((row) => row.seq)));
      this.reach(cursor);
    }
    found.forEach((row) => (this.paused ? this.arrive(row) : this.put(row, known.length > 0)));
  }
}
