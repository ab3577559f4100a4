// Pushes that passed address and secret and could not be understood.

import * as api from "./api.js";
import { bodySection } from "./body.js";
import { change, dialog } from "./change.js";
import { button, el, field, filled, heading, input, notice, pairs, said } from "./dom.js";
import { age, bytes, route, time } from "./format.js";
import { listing } from "./list.js";
import { t, word } from "./words.js";

const SELECTORS = ["reason", "source", "route", "since", "until"];

/** The end of a URL as the receiver takes it: here it is shown behind a slash. */
function plain(shown) {
  return shown.replace(/^\//, "");
}

export async function list(main, { params, signal, go, refresh }) {
  const given = Object.fromEntries(SELECTORS.map((name) => [name, params.get(name) || undefined]));
  const selector = { ...given, route: given.route === undefined ? undefined : plain(given.route) };
  const selects = Object.values(given).some((value) => value !== undefined);
  const act = (action, text, kind) => button(text, () => change(action, selector, refresh), { class: kind });
  main.append(heading(t("unreadable.title"), el("p", {}, t("unreadable.means"))), filter(given, go));
  const rows = await listing({
    path: "unreadable",
    params: selector,
    caption: t("unreadable.caption"),
    empty: t(selects ? "unreadable.none_such" : "unreadable.none"),
    columns: [
      { name: t("field.received"), kind: "near", cell: (row) => el("a", { href: `#/unreadable/${row.id}` }, age(row.received_at)) },
      { name: t("field.reason"), kind: "wide", cell: (row) => said(row.reason) },
      { name: t("field.source"), kind: "mono address", cell: (row) => row.source_ip ?? "–" },
      { name: t("field.route"), kind: "mono", cell: (row) => said(route(row)) },
      { name: t("field.size"), kind: "num", cell: (row) => bytes(row.body_bytes) },
    ],
    signal,
  });
  main.append(el("section", {}, rows, rows.querySelector("tbody tr") && el("div", { class: "row" },
    act("offer", t("unreadable.offer.selected"), "first"),
    act("discard", t("unreadable.drop.selected"), "danger"),
    el("span", { class: "muted" }, t("change.shows_first")))));
}

function filter(given, go) {
  const text = (label, name, attributes) => field(label, input(name, given[name] ?? "", { size: "18", ...attributes }));
  const form = el("form", { class: "filter", role: "search" },
    text(t("unreadable.find"), "reason", { type: "search", "data-search": true, size: "30" }),
    text(t("field.source"), "source", { placeholder: `203.0.113.7` }),
    text(t("field.route"), "route", { placeholder: "/ops?team=a" }),
    text(t("field.since"), "since", { placeholder: "2h" }),
    text(t("field.until"), "until", { placeholder: "30m" }),
    el("button", { class: "first" }, t("search")),
    el("a", { class: "button", href: "#/unreadable" }, t("reset")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go("/unreadable", filled(form));
  });
  return form;
}

export async function one(main, { segments, signal, go }) {
  const id = encodeURIComponent(segments[1]);
  const [row, content] = await Promise.all([
    api.get(`unreadable/${id}`, {}, signal),
    api.text(`unreadable/${id}/body`, signal),
  ]);
  const told = el("div", { role: "status" });
  const offer = button(t("unreadable.offer"), async () => {
    const answer = await api.post(`unreadable/${id}/offer`, undefined, signal);
    const where = answer.seq === null ? "" : el("a", { href: `#/events/${answer.seq}` }, t("event.title", { seq: String(answer.seq) }));
    told.replaceChildren(notice("good", word("outcome", answer.outcome), " ", where));
  }, { class: "first" });
  const drop = button(t("unreadable.drop"), () => dropOne(id, () => go("/unreadable", {})), { class: "danger" });
  main.append(
    heading(t("unreadable.one", { id: String(row.id) })),
    el("section", {},
      notice("warn", said(row.reason)),
      pairs(
        [t("field.received"), [time(row.received_at), " · ", age(row.received_at)]],
        [t("field.source"), row.source_ip],
        [t("field.peer"), row.peer_ip],
        [t("field.route"), el("code", {}, said(route(row)))],
      ),
      el("div", { class: "row" }, offer, drop), told),
    bodySection(content, `api/v1/unreadable/${row.id}/body`, row.body_bytes));
}

function dropOne(id, done) {
  let dropped = false;
  const box = dialog(t("unreadable.drop"), () => dropped && done());
  const reason = el("textarea", { maxlength: "500", required: true });
  const act = button(t("unreadable.drop.do", { n: 1 }), async () => {
    if (reason.value.trim() === "") {
      reason.focus();
      throw new Error(t("change.reason.needed"));
    }
    await api.post(`unreadable/${id}/drop`, { reason: reason.value.trim() }, box.signal);
    dropped = true;
    box.shown.close();
  }, { class: "danger" });
  box.show(notice("bad", t("unreadable.drop.would", { n: 1 })), field(t("change.reason.drop"), reason),
    el("div", { class: "row" }, act, box.close(t("cancel"))));
}
