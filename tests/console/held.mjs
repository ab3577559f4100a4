// The live view of events while it is paused, and more comes than a page keeps.

import assert from "node:assert/strict";
import { Visit } from "./visit.mjs";

const MOST = 2000;

export async function play({ browser, base, ask }) {
  const visit = await Visit.begin(browser, base);
  const page = await visit.open("#/events");
  await page.locator(".badge", { hasText: /^live$/ }).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  const { pushed } = await ask("push");
  assert.ok(pushed > MOST);
  const resume = page.getByRole("button", { name: `Resume (${pushed.toLocaleString("en")} held back)` });
  await resume.waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1, "nothing moves while somebody reads");
  await resume.click();
  await page.getByText("left out while the list was paused").waitFor();

  const shown = await page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => Number(row.dataset.seq)));
  assert.ok(shown.length > MOST / 2 && shown.length <= MOST, `${shown.length} are shown`);
  const { stored } = await ask("stored");
  assert.deepEqual(shown, stored.slice(0, shown.length), "the newest, without a gap");
  const left = (pushed - shown.length).toLocaleString("en");
  assert.equal(await page.getByText(`${left} events were left out`).count(), 1);
  await visit.end();
}
