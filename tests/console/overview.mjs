// The overview goes with what happens, without being loaded again.

import assert from "node:assert/strict";
import { Visit } from "./visit.mjs";

/** What the page says now: its figures, the bars' total height, and the sentence below them. */
function reading() {
  const figure = (name) => [...document.querySelectorAll(".figures div")]
    .find((one) => one.querySelector("dt").textContent === name)?.querySelector("dd").textContent;
  const bars = [...document.querySelectorAll("[role=img] rect.bar-accepted")];
  return {
    stored: Number(figure("Events stored")),
    unreadable: Number(figure("Unreadable")),
    said: document.querySelector("figcaption").textContent,
    height: bars.reduce((sum, bar) => sum + Number(bar.getAttribute("height")), 0),
    lines: document.querySelectorAll("[role=img] path.line-p50[d^='M']").length,
    loaded: window.loadedOnce === true,
  };
}

export async function play({ browser, base, ask }) {
  const visit = await Visit.begin(browser, base);
  const page = await visit.open();
  await page.evaluate(() => { window.loadedOnce = true; });
  const before = await page.evaluate(reading);
  assert.deepEqual([before.stored, before.height, before.lines], [0, 0, 0]);

  const { pushed } = await ask("push");
  await page.locator(".figures dd", { hasText: new RegExp(`^${pushed}$`) }).first().waitFor();
  await page.locator("figcaption", { hasText: `${pushed} pushes in the last hour, 0 of them refused.` }).waitFor();
  const after = await page.evaluate(reading);
  assert.deepEqual([after.stored, after.unreadable, after.lines, after.loaded], [pushed, 0, 1, true]);
  assert.ok(after.height > 50, `the bars are ${after.height} high`);

  const { refused } = await ask("refuse");
  await page.locator("figcaption", { hasText: `${refused} of them refused (invalid ${refused}).` }).waitFor();
  const last = await page.evaluate(reading);
  assert.deepEqual([last.stored, last.unreadable, last.loaded], [pushed, refused, true]);
  assert.ok(await page.locator("[role=img] rect.bar-refused").count() > 0);

  // The same as numbers, for those who see no chart.
  await page.getByText("As numbers").first().click();
  const numbers = await page.locator("figure table").first().locator("tbody td[data-name=accepted]").allTextContents();
  assert.equal(numbers.reduce((sum, text) => sum + Number(text), 0), pushed);
  await visit.end();
}
