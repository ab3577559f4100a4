// A list that is read page by page.

import * as api from "./api.js";
import { button, el, table, tableRow } from "./dom.js";
import { t } from "./words.js";

/**
 * A table of `path`, newest first, with a button for the next page. `keep` leaves rows out;
 * `onRows` learns of all that are shown.
 */
export async function listing({ path, params, caption, columns, empty, rowClass, keep, onRows, signal }) {
  const all = [];
  const page = (cursor) => api.get(path, { limit: 100, ...params, cursor }, signal);
  const take = (items) => {
    const kept = keep ? items.filter(keep) : items;
    all.push(...kept);
    onRows?.(all);
    return kept;
  };
  const first = await page(undefined);
  const rows = take(first.items);
  let cursor = first.next_cursor;
  const shown = table({ caption, columns, rows, empty, rowClass });
  const body = shown.querySelector("tbody");
  const more = button(t("list.more"), async () => {
    const next = await page(cursor);
    const kept = take(next.items);
    body.append(...kept.map((row) => tableRow(columns, row, rowClass?.(row))));
    if (kept.length > 0) shown.querySelector("table ~ p")?.remove();
    cursor = next.next_cursor;
    more.hidden = cursor === undefined;
  });
  more.hidden = cursor === undefined;
  return el("div", {}, shown, el("div", { class: "row" }, more));
}
