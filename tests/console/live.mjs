// The live view of events, over kills of the receiver; and an event found by its id.

import assert from "node:assert/strict";
import { Visit } from "./visit.mjs";

/** Notes each row as it is put into the table, so that one that comes twice is seen though it goes again. */
function note() {
  window.put = [];
  const seen = (node) => node.dataset?.seq && window.put.push(Number(node.dataset.seq));
  const body = document.querySelector("tbody");
  body.querySelectorAll("tr").forEach(seen);
  new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach(seen)))
    .observe(body, { childList: true });
}

export async function play({ browser, base, ask, rounds, last }) {
  const down = /ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE).*api\/v1\//;
  const refused = /status of 503.*api\/v1\/stream/;
  const visit = await Visit.begin(browser, base, { expected: [down, refused] });
  const page = await visit.open("#/events");
  await page.locator(".badge", { hasText: /^live$/ }).waitFor();
  await page.evaluate(note);
  for (let round = 0; round < rounds; round += 1) {
    // Pushes from several sides until it is killed; then it is started again, and the stream taken up.
    await ask("push_and_kill", { round });
    await page.locator(".badge", { hasText: "connecting" }).waitFor();
    // By itself a browser takes up a stream that broke off, but none that was refused meanwhile.
    if (round % 2 === 1) await refuseOnce(visit.context);
    await ask("start");
    await page.locator(".badge", { hasText: /^live$/ }).waitFor();
  }
  await ask("push_last");
  await page.locator("tbody tr td", { hasText: last }).first().waitFor();

  const { stored, id, seq } = await ask("stored");
  const shown = await page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => Number(row.dataset.seq)));
  assert.deepEqual(shown, stored, "newest first, without a gap");
  const put = await page.evaluate(() => window.put);
  assert.equal(put.length, new Set(put).size, "without a repetition");
  assert.equal(put.length, stored.length);

  await find(visit, id, seq);
  await visit.end();
  return { shown: shown.length };
}

/** The next time the stream is asked for, the answer is that there are too many already. */
async function refuseOnce(context) {
  await context.route("**/api/v1/stream*", (route) => route.fulfill({ status: 503 }), { times: 1 });
}

/** Finds an event by its id, and opens it. */
async function find(visit, id, seq) {
  const { page } = visit;
  await page.keyboard.press("/");
  await page.keyboard.type(id);
  await page.locator("form.filter select[name=in]").selectOption("event_id");
  await page.getByRole("button", { name: "Search" }).click();
  await page.locator("tbody tr").nth(1).waitFor({ state: "detached" });
  await visit.settled();
  const found = page.locator("tbody tr");
  assert.equal(await found.count(), 1);
  assert.equal(await found.locator("td[data-name='Event id']").textContent(), id);
  await found.locator("a").first().click();
  await page.getByRole("heading", { name: `Event ${seq}` }).waitFor();
  assert.match(await page.locator("main").textContent(), new RegExp(`Event id${id}`));
}
