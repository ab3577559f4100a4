// What people changed: who, when, what, how many, and why.

import { el, heading, said } from "./dom.js";
import { age, number } from "./format.js";
import { listing } from "./list.js";
import { t, word } from "./words.js";

export async function show(main, { signal }) {
  const list = await listing({
    path: "audit",
    caption: t("audit.caption"),
    empty: t("audit.none"),
    columns: [
      { name: t("audit.when"), kind: "near", cell: (row) => age(row.at) },
      { name: t("audit.who"), kind: "mono", cell: (row) => said(row.who) },
      { name: t("audit.what"), cell: (row) => word("action", row.action) },
      { name: t("audit.count"), kind: "num", cell: (row) => number(row.count) },
      { name: t("audit.selected"), kind: "mono wide", cell: (row) => said(row.selector) },
      { name: t("field.reason"), kind: "wide", cell: (row) => (row.reason ? said(row.reason) : "–") },
    ],
    signal,
  });
  main.append(heading(t("audit.title"), el("p", {}, t("audit.means"))), el("section", {}, list));
}
