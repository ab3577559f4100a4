// Pushes that passed address and secret and could not be understood.

import * as api from "./api.js";
import { bodySection } from "./body.js";
import { dialog } from "./change.js";
import { button, el, field, filled, heading, input, notice, pairs, said, speak } from "./dom.js";
import { age, bytes, route, time } from "./format.js";
import { listing } from "./list.js";
import { t, word } from "./words.js";

export async function list(main, { params, signal, go, refresh }) {
  const find = (params.get("find") ?? "").toLowerCase();
  const fits = (row) => [row.reason, row.source_ip, row.peer_ip, route(row)]
    .some((value) => String(value ?? "").toLowerCase().includes(find));
  let shown = [];
  const all = button(t("unreadable.offer_all", { n: 0 }), () => offerAll(shown, refresh));
  const form = el("form", { class: "filter", role: "search" },
    field(t("unreadable.find"), input("find", params.get("find") ?? "", { type: "search", "data-search": true, size: "30" })),
    el("button", { class: "first" }, t("search")),
    el("a", { class: "button", href: "#/unreadable" }, t("reset")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go("/unreadable", filled(form));
  });
  main.append(heading(t("unreadable.title"), el("p", {}, t("unreadable.means"))), form);
  const rows = await listing({
    path: "unreadable",
    caption: t("unreadable.caption"),
    empty: t("unreadable.none"),
    keep: find ? fits : undefined,
    onRows: (loaded) => {
      shown = loaded;
      all.textContent = t("unreadable.offer_all", { n: loaded.length });
      all.hidden = loaded.length === 0;
    },
    columns: [
      { name: t("field.received"), kind: "near", cell: (row) => el("a", { href: `#/unreadable/${row.id}` }, age(row.received_at)) },
      { name: t("field.reason"), kind: "wide", cell: (row) => said(row.reason) },
      { name: t("field.source"), kind: "mono", cell: (row) => row.source_ip ?? "–" },
      { name: t("field.route"), kind: "mono", cell: (row) => said(route(row)) },
      { name: t("field.size"), kind: "num", cell: (row) => bytes(row.body_bytes) },
    ],
    signal,
  });
  main.append(el("section", {}, rows, el("div", { class: "row" }, all)));
}

/** Offers each in turn, oldest first, after a confirmation that names the count. */
function offerAll(rows, refresh) {
  let tried = false;
  const box = dialog(t("unreadable.offer"), () => tried && refresh());
  const oldest = [...rows].sort((a, b) => a.id - b.id);
  const act = button(t("unreadable.offer.do", { n: rows.length }), async () => {
    tried = true;
    const bar = el("progress", { max: oldest.length, value: "0", "aria-label": t("change.under_way") });
    box.show(bar, el("div", { class: "row" }, box.close(t("change.stop"))));
    let taken = 0;
    let first;
    for (const row of oldest) {
      if (box.signal.aborted) return;
      try {
        await api.post(`unreadable/${row.id}/offer`, undefined, box.signal);
        taken += 1;
      } catch (error) {
        if (api.gone(error)) return;
        first ??= error.message;
      }
      bar.value += 1;
    }
    const text = t("unreadable.offered_all", { taken, left: oldest.length - taken });
    speak(text);
    box.show(
      notice(first ? "warn" : "good", text),
      first ? el("p", {}, `${t("unreadable.still")} `, said(first)) : null,
      el("div", { class: "row" }, box.close(t("close"))),
    );
  }, { class: "first" });
  box.show(el("p", {}, t("unreadable.offer.would", { n: rows.length })),
    el("div", { class: "row" }, act, box.close(t("cancel"))));
}

export async function one(main, { segments, signal, go }) {
  const id = segments[1];
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
  box.show(notice("bad", t("unreadable.drop.would")), field(t("change.reason.drop"), reason),
    el("div", { class: "row" }, act, box.close(t("cancel"))));
}
