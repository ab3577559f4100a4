// Changes of many at once: first what would be done, then, once a person says so, just that.

import * as api from "./api.js";
import { button, el, field, notice, pairs, said, speak, table } from "./dom.js";
import { now, number } from "./format.js";
import { t, word } from "./words.js";

const SAMPLE = 20;

const deliveries = {
  asked: (selector) => selector,
  limit: 500,
  columns: () => [
    { name: t("field.seq"), cell: (item) => item.seq, kind: "num" },
    { name: t("field.sink"), cell: (item) => item.sink, kind: "near mono" },
    { name: t("field.type"), cell: (item) => said(item.event_type), kind: "near mono" },
    { name: t("field.event_id"), cell: (item) => item.event_id ?? "–", kind: "mono" },
    { name: t("change.result"), cell: (item) => word("result", item.result) },
  ],
};

const pushes = {
  // The receiver wants to be told when everything is meant.
  asked: (selector) => (Object.values(selector).some((value) => value !== undefined) ? { select: selector } : { all: true }),
  // Each of them is read and offered by itself.
  limit: 100,
  columns: () => [
    { name: t("field.number"), cell: (item) => item.id, kind: "num" },
    { name: t("field.event_id"), cell: (item) => item.event_id ?? "–", kind: "mono" },
    { name: t("change.result"), cell: (item) => word("result", item.result) },
    { name: t("field.reason"), cell: (item) => (item.detail ? said(item.detail) : "–"), kind: "wide" },
  ],
};

/** What can be done: where it is asked for, how its texts begin, and whether something is lost by it. */
const ACTIONS = {
  replay: { ...deliveries, path: "replay", texts: "change.replay" },
  drop: { ...deliveries, path: "drop", texts: "change.drop", loses: true },
  offer: { ...pushes, path: "unreadable/offer", texts: "unreadable.offer" },
  discard: { ...pushes, path: "unreadable/drop", texts: "unreadable.drop", loses: true },
};

/** Walks over all that is selected, one bounded step after the other. */
async function walk(action, request, { signal, onStep }) {
  const sum = { changed: 0, commands: 0, skipped: {}, items: [], upto: undefined };
  let cursor;
  do {
    const step = await api.post(action.path, { ...request, limit: action.limit, cursor }, signal);
    sum.changed += step.changed;
    sum.commands += step.commands;
    sum.upto = step.upto;
    for (const [why, count] of Object.entries(step.skipped)) {
      sum.skipped[why] = (sum.skipped[why] ?? 0) + count;
    }
    if (sum.items.length < SAMPLE) sum.items.push(...step.items.slice(0, SAMPLE - sum.items.length));
    cursor = step.next_cursor;
    onStep(sum);
  } while (cursor !== undefined && !signal.aborted);
  return sum;
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The same with moments for "so long ago": what is confirmed is what was counted, not what is as old by then. */
function fixed(selector) {
  const moment = (text) => {
    if (!/^(\d+[smhd])+$/.test(text ?? "")) return text;
    const parts = [...text.matchAll(/(\d+)([smhd])/g)];
    const ago = parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit], 0);
    return new Date(now() - ago).toISOString();
  };
  return { ...selector, since: moment(selector.since), until: moment(selector.until) };
}

function selection(selector) {
  const shown = Object.entries(selector).filter(([, value]) => value !== undefined && value !== false);
  if (shown.length === 0) return el("p", {}, t("change.everything"));
  return pairs(...shown.map(([name, value]) => [t(`field.${name}`), value === true ? t("yes") : said(value === "" ? "/" : String(value))]));
}

function skipped(sum) {
  const parts = Object.entries(sum.skipped);
  if (parts.length === 0) return null;
  return el("p", { class: "muted" }, t("change.skipped"), " ",
    parts.map(([why, count]) => `${word("result", why)} ${number(count)}`).join(", "));
}

function sample(action, sum) {
  if (sum.items.length === 0) return null;
  return el("details", {}, el("summary", {}, t("change.first")), table({
    caption: t("change.first"),
    rows: sum.items,
    columns: action.columns(),
  }));
}

/** A dialog that is gone when it is closed; `signal` ends what it does meanwhile. */
export function dialog(title, after) {
  const controller = new AbortController();
  const content = el("div");
  const id = "dialog-title";
  // A button that only opens it ends with dots.
  const head = el("h2", { id, tabindex: "-1" }, title.replace(/\s*…$/, ""));
  const shown = el("dialog", { "aria-labelledby": id }, head, content);
  shown.addEventListener("close", () => {
    controller.abort();
    shown.remove();
    after?.();
  });
  document.body.append(shown);
  shown.showModal();
  const close = (text) => el("button", { type: "button", click: () => shown.close() }, text);
  const show = (...children) => {
    content.replaceChildren(...children.filter(Boolean));
    // What had the focus may be gone with what was shown before.
    head.focus();
  };
  return { shown, show, signal: controller.signal, close };
}

/**
 * Asks what the action called `name` would do to what `selected` means, shows it, and does it after a
 * confirmation that names the count. `done` is called when something was changed.
 */
export async function change(name, selected, done) {
  const action = ACTIONS[name];
  const selector = fixed(selected);
  let changed = false;
  const box = dialog(t(action.texts), () => changed && done?.());
  const count = el("p", {}, t("change.counting", { n: 0 }));
  box.show(selection(selector), el("p", {}), count, el("div", { class: "row" }, box.close(t("cancel"))));
  try {
    // The receiver wants a reason for a drop, also for one that is only tried.
    const tried = { ...action.asked(selector), dry_run: true, ...(action.loses ? { reason: "dry run" } : {}) };
    const sum = await walk(action, tried, {
      signal: box.signal,
      onStep: (far) => { count.textContent = t("change.counting", { n: far.changed }); },
    });
    confirm(box, action, selector, sum, () => { changed = true; });
  } catch (error) {
    if (api.gone(error)) return;
    box.show(notice("bad", error.message), el("div", { class: "row" }, box.close(t("close"))));
  }
}

function confirm(box, action, selector, sum, onChanged) {
  if (sum.changed === 0) {
    box.show(selection(selector), notice("", t("change.nothing")), skipped(sum), sample(action, sum),
      el("div", { class: "row" }, box.close(t("close"))));
    return;
  }
  const reason = el("textarea", { name: "reason", maxlength: "500", required: Boolean(action.loses) });
  const act = button(t(`${action.texts}.do`, { n: sum.changed }), async () => {
    if (action.loses && reason.value.trim() === "") {
      reason.focus();
      throw new Error(t("change.reason.needed"));
    }
    onChanged();
    const request = { ...action.asked(selector), upto: sum.upto, reason: reason.value.trim() || undefined };
    await carryOut(box, action, request, sum.changed);
  }, { class: action.loses ? "danger" : "first" });
  box.show(
    selection(selector),
    notice(action.loses ? "bad" : "warn", t(`${action.texts}.would`, { n: sum.changed })),
    sum.commands > 0 ? notice("bad", t("change.commands", { n: sum.commands })) : null,
    skipped(sum),
    sample(action, sum),
    field(t(action.loses ? "change.reason.drop" : "change.reason"), reason),
    el("div", { class: "row" }, act, box.close(t("cancel"))),
  );
}

async function carryOut(box, action, request, wanted) {
  const bar = el("progress", { max: wanted, value: "0", "aria-label": t("change.under_way") });
  const told = el("p", {}, t("change.under_way"));
  const end = el("div", { class: "row" }, box.close(t("change.stop")));
  box.show(told, bar, end);
  try {
    const sum = await walk(action, request, {
      signal: box.signal,
      onStep: (far) => {
        bar.value = far.changed;
        told.textContent = t(`${action.texts}.done`, { n: far.changed });
      },
    });
    const text = t(`${action.texts}.done`, { n: sum.changed });
    speak(text);
    box.show(notice("good", text), skipped(sum), sample(action, sum), el("div", { class: "row" }, box.close(t("close"))));
  } catch (error) {
    if (api.gone(error)) return;
    end.before(notice("bad", error.message));
    end.replaceChildren(box.close(t("close")));
  }
}
