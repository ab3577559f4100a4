// Whether it is well: readiness, warnings, pushes, latency, sinks, store, recovery, replicas.

import * as api from "./api.js";
import { bars, lines, spark } from "./chart.js";
import { el, heading, morph, notice, pairs, table } from "./dom.js";
import { age, bytes, duration, number, time } from "./format.js";
import { read, single, sinks } from "./scrape.js";
import { t, word } from "./words.js";

const EVERY = 5000;
const BUDGET = 1000;
const GOOD = ["accepted", "duplicate", "stale"];

export async function show(main, { signal }) {
  const page = el("div");
  const asOf = el("p");
  main.append(heading(t("overview.title"), el("p", {}, t("overview.every")), asOf), page);
  let waiting;
  const look = async () => {
    if (!document.hidden) {
      try {
        const seen = await ask(signal);
        morph(page, el("div", {}, draw(seen)));
        morph(asOf, el("p", {}, t("overview.as_of"), " ", age(seen.status.now)));
      } catch (error) {
        if (api.gone(error)) return;
        morph(page, el("div", {}, notice("bad", t("overview.unreachable", { why: error.message })), [...page.childNodes].slice(1)));
      }
    }
    if (!signal.aborted) waiting = setTimeout(look, EVERY);
  };
  const wake = () => {
    if (document.hidden) return;
    clearTimeout(waiting);
    look();
  };
  document.addEventListener("visibilitychange", wake);
  signal.addEventListener("abort", () => {
    clearTimeout(waiting);
    document.removeEventListener("visibilitychange", wake);
  });
  await look();
}

/** The status is needed; what else is missing leaves its place empty. */
async function ask(signal) {
  const optional = (answer) => answer.catch((error) => {
    if (api.gone(error)) throw error;
    return null;
  });
  const [status, series, exposition] = await Promise.all([
    api.get("status", {}, signal),
    optional(api.get("series", {}, signal)),
    optional(api.metrics(signal)),
  ]);
  const samples = exposition === null ? [] : read(exposition);
  return { status, series, samples, totals: sinks(samples) };
}

function draw(seen) {
  const { status, series, samples } = seen;
  return [
    verdict(status, series, samples),
    series ? el("div", { class: "grid" }, pushes(series.buckets), acks(series.buckets)) : notice("warn", t("overview.no_series")),
    el("section", {}, sinkTable(seen)),
    el("div", { class: "grid" }, store(status, samples), recovered(status)),
    replicas(status),
  ];
}

function verdict(status, series, samples) {
  const recent = series?.buckets.slice(-5) ?? [];
  const lag = Math.max(...recent.map((bucket) => bucket.lag_ms?.max ?? -1), -1);
  const worst = Math.max(...recent.map((bucket) => bucket.ack_ms?.p99 ?? -1), -1);
  const spilled = status.spilled_events ?? single(samples, "flashduty_spilled_events");
  const figures = [
    [t("overview.last_minute"), series ? number(total(series.buckets.at(-2) ?? {})) : "–"],
    [t("overview.p99"), worst < 0 ? "–" : duration(worst)],
    [t("overview.lag"), lag < 0 ? "–" : duration(lag)],
    ...held(status.inbox),
    spilled > 0 ? [t("overview.spilled"), number(spilled)] : null,
    [t("overview.up"), age(status.started_at)],
    [t("overview.version"), status.version],
  ];
  return el("section", {},
    el("p", { class: "verdict" },
      el("strong", { class: status.ready ? "is-ok" : "is-critical" }, t(status.ready ? "overview.ready" : "overview.unready")),
      el("span", {}, status.ready ? t("overview.ready.means") : status.reason ?? "")),
    status.warnings.length === 0
      ? el("p", { class: "muted" }, t("overview.no_warnings"))
      : status.warnings.map((warning) => notice("warn", warning)),
    el("dl", { class: "figures" }, figures.filter(Boolean).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

/** What the store holds; nothing while it does not answer. */
function held(inbox) {
  if (!inbox) return [];
  const sum = (name) => inbox.sinks.reduce((all, sink) => all + sink[name], 0);
  return [
    [t("overview.events"), number(inbox.events)],
    [t("overview.waiting"), number(sum("pending"))],
    [t("overview.dead"), linked("#/dead", sum("dead"))],
    [t("overview.unreadable"), linked("#/unreadable", inbox.unreadable)],
  ];
}

function linked(href, count) {
  return count > 0 ? el("a", { href, class: "is-critical" }, number(count)) : number(count);
}

function total(bucket) {
  return Object.values(bucket.pushes ?? {}).reduce((sum, count) => sum + count, 0);
}

function refused(bucket) {
  return Object.entries(bucket.pushes ?? {}).reduce((sum, [name, count]) => (GOOD.includes(name) ? sum : sum + count), 0);
}

function pushes(buckets) {
  const series = GOOD.map((name) => ({
    name: word("outcome", name),
    style: `bar-${name}`,
    of: (bucket) => bucket.pushes?.[name] ?? 0,
  }));
  series.push({ name: t("overview.refused"), style: "bar-refused", of: refused });
  const all = buckets.reduce((sum, bucket) => sum + total(bucket), 0);
  const bad = buckets.reduce((sum, bucket) => sum + refused(bucket), 0);
  const summary = t("overview.pushes.summary", { all, refused: bad, why: bad > 0 ? why(buckets) : "" });
  return el("section", {},
    el("h2", {}, t("overview.pushes")),
    bars({ title: t("overview.pushes"), buckets, series, summary }));
}

/** The refusals by outcome, in brackets. */
function why(buckets) {
  const sums = {};
  for (const bucket of buckets) {
    for (const [name, count] of Object.entries(bucket.pushes ?? {})) {
      if (!GOOD.includes(name)) sums[name] = (sums[name] ?? 0) + count;
    }
  }
  const parts = Object.entries(sums).map(([name, count]) => `${word("outcome", name)} ${number(count)}`);
  return ` (${parts.join(", ")})`;
}

function acks(buckets) {
  const series = ["p50", "p99", "max"].map((name) => ({
    name: t(`overview.ack.${name}`),
    style: `line-${name}`,
    of: (bucket) => bucket.ack_ms?.[name],
  }));
  const over = buckets.filter((bucket) => (bucket.ack_ms?.max ?? 0) >= BUDGET).length;
  const worst = Math.max(0, ...buckets.map((bucket) => bucket.ack_ms?.max ?? 0));
  const said = worst === 0 ? "overview.ack.none" : over > 0 ? "overview.ack.over" : "overview.ack.within";
  const summary = t(said, { worst: duration(worst), over });
  const level = { value: BUDGET, name: t("overview.ack.budget") };
  return el("section", {},
    el("h2", {}, t("overview.ack")),
    lines({ title: t("overview.ack"), buckets, series, summary, level, show: duration }));
}

/** What a sink did in each minute of the last hour; `undefined` where that is not told. */
function hour(series, name) {
  if (!series) return undefined;
  const minutes = series.buckets.map((bucket) => ({ at: bucket.at, delivered: 0, failed: 0, ...bucket.sinks?.[name] }));
  const sum = (of, list = minutes) => list.reduce((all, minute) => all + minute[of], 0);
  // The present minute is not over yet, and would look like a slow one.
  const recent = minutes.slice(0, -1).slice(-5);
  return {
    minutes,
    delivered: sum("delivered"),
    failed: sum("failed"),
    rate: recent.length > 0 ? sum("delivered", recent) / recent.length : undefined,
    last: minutes.findLast((minute) => minute.delivered > 0)?.at,
  };
}

function perMinute(value) {
  return value === undefined ? "–" : t("overview.per_minute", { n: value < 10 ? Math.round(value * 10) / 10 : Math.round(value) });
}

function course(done) {
  if (done === undefined) return "–";
  return spark(done.minutes, t("overview.hour.said", { delivered: done.delivered, failed: done.failed }));
}

function sinkTable({ status, series, totals }) {
  const hours = new Map(status.sinks.map(({ sink }) => [sink, hour(series, sink)]));
  const of = (show) => ({ sink }) => show(hours.get(sink));
  return table({
    caption: t("overview.sinks"),
    empty: t("overview.sinks.none"),
    rows: status.sinks,
    rowClass: (sink) => (sink.dead > 0 || sink.paused ? "edge-warning" : ""),
    columns: [
      { name: t("field.sink"), cell: (sink) => sink.sink, kind: "mono" },
      { name: t("field.state"), cell: state },
      { name: t("overview.waiting"), cell: (sink) => told(sink.pending, number), kind: "num" },
      { name: t("overview.oldest"), cell: (sink) => age(sink.oldest_pending_at), kind: "near" },
      { name: t("overview.hour"), cell: of(course) },
      { name: t("overview.rate"), cell: of((done) => perMinute(done?.rate)), kind: "num" },
      { name: t("overview.last_delivered"), cell: of((done) => (done?.last === undefined ? "–" : age(done.last))), kind: "near" },
      { name: t("overview.failures"), cell: of((done) => (done === undefined ? "–" : number(done.failed))), kind: "num" },
      { name: t("overview.delivered"), cell: ({ sink }) => told(totals.get(sink)?.delivered, number), kind: "num" },
      { name: t("overview.dead"), cell: (sink) => told(sink.dead, (dead) => linked(`#/dead?sink=${encodeURIComponent(sink.sink)}`, dead)), kind: "num" },
    ],
  });
}

/** What only the store knows; it may be away. */
function told(value, show) {
  return value === undefined ? "–" : show(value);
}

function state({ configured, paused }) {
  if (!configured) return el("span", { class: "badge is-warning" }, word("pause", "parked"));
  if (!paused) return el("span", { class: "badge is-ok" }, t("overview.working"));
  return [
    el("span", { class: "badge is-warning" }, t("overview.paused")), " ", word("pause", paused.reason),
    paused.since ? [" ", t("overview.since"), " ", time(paused.since)] : null,
    paused.until ? [" ", t("overview.until"), " ", time(paused.until)] : null,
  ];
}

function store(status, samples) {
  if (status.store_bytes === undefined) {
    return el("section", {}, el("h2", {}, t("overview.store")), el("p", { class: "muted" }, t("overview.away")));
  }
  const room = status.store_bytes + (status.store_free_bytes ?? 0);
  return el("section", {},
    el("h2", {}, t("overview.store")),
    pairs(
      [t("overview.store.size"), bytes(status.store_bytes)],
      status.store_free_bytes === undefined
        ? null
        : [t("overview.store.free"), `${bytes(status.store_free_bytes)} (${percent(status.store_free_bytes, room)})`],
      status.store_log_bytes > 0 ? [t("overview.store.log"), bytes(status.store_log_bytes)] : null,
      [t("overview.store.stall"), duration(status.longest_stall_seconds * 1000)],
      [t("overview.store.last"), status.inbox?.last_seq],
      [t("overview.connections"), number(single(samples, "flashduty_connections"))],
    ));
}

function percent(part, whole) {
  return `${whole > 0 ? Math.round((part / whole) * 100) : 0} %`;
}

function recovered(status) {
  const { reached, last_run: run } = status.recovery;
  const ran = run && run.since !== undefined;
  return el("section", {},
    el("h2", {}, t("overview.recovery")),
    reached ? pairs([t("overview.recovery.reached"), time(reached)]) : null,
    !ran ? el("p", { class: "muted" }, t("overview.recovery.none")) : pairs(
      [t("field.state"), t(run.running ? "overview.recovery.running" : run.error ? "overview.recovery.failed" : "overview.recovery.done")],
      [t("overview.recovery.began"), age(run.began)],
      [t("overview.recovery.ended"), run.ended ? age(run.ended) : null],
      [t("overview.recovery.by"), t(run.by_hand ? "overview.recovery.by_hand" : "overview.recovery.by_itself")],
      [t("overview.recovery.span"), [time(run.since), " – ", time(run.until)]],
      run.running && run.at ? [t("overview.recovery.at"), time(run.at)] : null,
      [t("overview.recovery.records"), number(run.records)],
      [t("overview.recovery.found"), number(run.found)],
      [word("outcome", "duplicate"), number(run.duplicate)],
      run.unreadable > 0 ? [t("overview.unreadable"), number(run.unreadable)] : null,
      run.missing > 0 ? [t("overview.recovery.missing"), number(run.missing)] : null,
      run.misrouted > 0 ? [t("overview.recovery.misrouted"), number(run.misrouted)] : null,
      run.elsewhere > 0 ? [t("overview.recovery.elsewhere"), number(run.elsewhere)] : null,
      run.dry_run ? [t("change.dry"), t("yes")] : null,
      run.error ? [t("field.error"), run.error] : null,
    ));
}

function replicas(status) {
  return el("section", {}, table({
    caption: t("overview.replicas"),
    rows: status.replicas,
    rowClass: (one) => (one.silent_since === undefined ? "" : "edge-warning"),
    columns: [
      { name: t("field.name"), cell: (one) => one.name, kind: "mono" },
      {
        name: t("field.state"),
        cell: (one) => (one.silent_since === undefined
          ? el("span", { class: "badge is-ok" }, t("overview.replicas.there"))
          : el("span", { class: "badge is-warning" }, t("overview.replicas.silent"))),
      },
      { name: t("overview.replicas.seen"), cell: (one) => age(one.seen_at), kind: "near" },
      { name: t("overview.up"), cell: (one) => age(one.started_at), kind: "near" },
      { name: t("overview.version"), cell: (one) => one.version },
    ],
  }));
}
