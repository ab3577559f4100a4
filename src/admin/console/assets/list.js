// A list that is read page by page.

import * as api from "./api.js";
import { button, el, table, tableRow } from "./dom.js";
import { t } from "./words.js";

/** A table of `path`, newest first, with a button for the next page. */
export async function listing({ path, params, caption, columns, empty, rowClass, signal }) {
  const page = (cursor) => api.get(path, { limit: 100, ...params, cursor }, signal);
  const first = await page(undefined);
  let cursor = first.next_cursor;
  const shown = table({ caption, columns, rows: first.items, empty, rowClass });
  const body = shown.querySelector("tbody");
  const more = button(t("list.more"), async () => {
    const next = await page(cursor);
    body.append(...next.items.map((row) => tableRow(columns, row, rowClass?.(row))));
    if (next.items.length > 0) shown.querySelector("table ~ p")?.remove();
    cursor = next.next_cursor;
    more.hidden = cursor === undefined;
  });
  more.hidden = cursor === undefined;
  return el("div", {}, shown, el("div", { class: "row" }, more));
}
