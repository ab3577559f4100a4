// Numbers, times and sizes as a person reads them, in the viewer's language and zone.

import { el } from "./dom.js";
import { t, tag, word } from "./words.js";

export function number(value) {
  return Number(value ?? 0).toLocaleString(tag());
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = Number(value ?? 0);
  let at = 0;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  const digits = { maximumFractionDigits: size < 10 && at > 0 ? 1 : 0 };
  return `${size.toLocaleString(tag(), digits)} ${units[at]}`;
}

function unit(value, name, digits = 0) {
  const style = { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits };
  return value.toLocaleString(tag(), style);
}

/** A length of time by its two largest units at most. */
export function duration(ms) {
  const value = Math.max(0, ms);
  if (value < 1000) return unit(Math.round(value * 10) / 10, "millisecond", value < 10 ? 1 : 0);
  if (value < 10_000) return unit(value / 1000, "second", 1);
  if (value < 60_000) return unit(Math.floor(value / 1000), "second");
  const minutes = Math.floor(value / 60_000);
  if (minutes < 60) return unit(minutes, "minute");
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return [unit(hours, "hour"), minutes % 60 ? unit(minutes % 60, "minute") : ""].join(" ").trim();
  return unit(Math.floor(hours / 24), "day");
}

// The server's clock decides what is how old: the viewer's may be wrong.
let skew = 0;

/** Learns the server's time from an answer's Date. */
export function setClock(date) {
  const server = Date.parse(date ?? "");
  // The header has whole seconds; less is no skew.
  if (Number.isFinite(server)) skew = Math.abs(server - Date.now()) < 2000 ? 0 : server - Date.now();
}

export function now() {
  return Date.now() + skew;
}

export function ageText(at) {
  const passed = now() - at;
  if (passed < -1000) return t("time.ahead", { time: duration(-passed) });
  return passed < 1000 ? t("time.now") : t("time.ago", { time: duration(passed) });
}

function utc(date) {
  return date.toISOString().replace("T", " ").replace("Z", " UTC");
}

function local(date) {
  const today = new Date().toDateString() === date.toDateString();
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const day = { year: "numeric", month: "2-digit", day: "2-digit" };
  return date.toLocaleString(tag(), today ? clock : { ...day, ...clock });
}

function moment(value) {
  const date = new Date(value);
  return value === null || value === undefined || Number.isNaN(date.getTime()) ? null : date;
}

/** A moment in the viewer's zone; its title says it in UTC. */
export function time(value) {
  const date = moment(value);
  if (!date) return "–";
  return el("time", { datetime: date.toISOString(), title: utc(date) }, local(date));
}

/** How long ago a moment is, kept up to date; its title says the moment. */
export function age(value) {
  const date = moment(value);
  if (!date) return "–";
  const title = `${local(date)} · ${utc(date)}`;
  return el("time", { datetime: date.toISOString(), title, "data-age": "" }, ageText(date.getTime()));
}

/** Lets the ages on the page go on. */
export function tick() {
  for (const node of document.querySelectorAll("time[data-age]")) {
    const text = ageText(Date.parse(node.dateTime));
    if (node.textContent !== text) node.textContent = text;
  }
}

const TONES = {
  critical: "critical", warning: "warning", info: "info", ok: "ok",
  accepted: "ok", delivered: "ok", duplicate: "", stale: "warning",
  pending: "info", leased: "info", dead: "critical", expired: "warning", retried: "warning",
  triggered: "critical", processing: "warning", closed: "ok",
  applied: "ok", replayed: "ok", created: "ok", dropped: "", superseded: "",
};

export function tone(value) {
  const key = String(value ?? "").toLowerCase();
  // What a payload says may be the name of something that every object has.
  return Object.hasOwn(TONES, key) ? TONES[key] : "";
}

/** A word of the API, in words and in its colour. */
export function badge(kind, value) {
  if (value === null || value === undefined || value === "") return "";
  const key = String(value).toLowerCase();
  const shown = word(kind, key);
  return el("span", { class: `badge is-${tone(key) || "plain"}` }, shown === key ? String(value) : shown);
}

/** The end of the URL that a push came to. */
export function route(row) {
  if (!row.tag && !row.query) return "/";
  return `/${row.tag ?? ""}${row.query ? `?${row.query}` : ""}`;
}
