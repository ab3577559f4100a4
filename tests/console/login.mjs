// Login and logout.

import assert from "node:assert/strict";
import { Visit } from "./visit.mjs";

export async function play({ browser, base, token, closed }) {
  const visit = await Visit.begin(browser, base, { expected: [/status of 401/] });
  const page = await visit.open("#/events?live=off");
  const field = page.getByLabel("Token");
  await field.waitFor();
  assert.equal(await field.getAttribute("type"), "password");
  assert.ok(await field.evaluate((node) => node === document.activeElement), "the cursor is where it is wanted");

  await field.fill("something else");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("That is not the token.").waitFor();
  assert.deepEqual(await visit.context.cookies(), []);

  await field.fill(token);
  await page.keyboard.press("Enter");
  // Where one wanted to go.
  await page.getByRole("heading", { name: "Events" }).waitFor();
  const [cookie, ...others] = await visit.context.cookies();
  assert.deepEqual(others, []);
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/"]);
  const hours = (cookie.expires - Date.now() / 1000) / 3600;
  assert.ok(hours > 11.9 && hours <= 12.01, `${hours} h`);
  const kept = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
  assert.ok(!kept.includes(token) && !kept.includes(cookie.value), "no script can read it");

  // Another page of the same browser needs no login.
  const other = await visit.context.newPage();
  await other.goto(`${base}/#/audit`);
  await other.locator("main:not([aria-busy]) h1", { hasText: "Audit" }).waitFor();

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.deepEqual(await visit.context.cookies(), []);
  await page.reload();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  // What the other page asks for next is refused as well.
  await other.getByRole("link", { name: "Incidents" }).click();
  await other.getByRole("heading", { name: "Log in" }).waitFor();
  await visit.end();

  const outside = await Visit.begin(browser, closed, { expected: [/status of 401/] });
  await outside.open();
  await outside.page.getByRole("heading", { name: "This console is closed" }).waitFor();
  await outside.end();
}
