// A dead letter: found, tried, replayed, and delivered indeed.

import assert from "node:assert/strict";
import { Visit } from "./visit.mjs";

export async function play({ browser, base, ask, seq, dead }) {
  const visit = await Visit.begin(browser, base);
  const page = await visit.open();
  await page.getByRole("link", { name: "Dead letters" }).click();
  const rows = page.locator("tbody tr");
  await rows.nth(dead - 1).waitFor();
  assert.equal(await rows.count(), dead);

  const row = rows.filter({ has: page.locator(`a[href="#/events/${seq}"]`) });
  await row.getByRole("button", { name: "Replay …" }).click();
  const dialog = page.getByRole("dialog", { name: "Replay deliveries" });
  const act = dialog.getByRole("button", { name: "Replay 1 delivery" });
  await act.waitFor();
  assert.match(await dialog.textContent(), /1 delivery would be replayed\./);
  // So far it was only tried, and can be left.
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(await ask("replayed"), { state: "dead", audit: 0 });

  await row.getByRole("button", { name: "Replay …" }).click();
  await dialog.getByRole("textbox").fill("the ticket system is back");
  await act.click();
  await dialog.getByText("1 delivery was replayed.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  // Gone from the list, which is read again.
  await row.waitFor({ state: "detached" });
  await visit.settled();
  assert.equal(await rows.count(), dead - 1);
  assert.deepEqual(await ask("delivered"), { state: "delivered", audit: 1 });

  await visit.go(`#/events/${seq}`);
  const delivery = page.locator("tr", { hasText: "tickets" });
  assert.match(await delivery.textContent(), /delivered replayed/);
  await visit.go("#/audit");
  assert.match(await page.locator("tbody tr").first().textContent(), /replay.*the ticket system is back/);
  await visit.end();
}
