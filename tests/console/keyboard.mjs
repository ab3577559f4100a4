// The console without a mouse.

import assert from "node:assert/strict";
import { DESKTOP, PHONE, Visit } from "./visit.mjs";

/** What can be used, by a mark that `at` gives back. */
function usable() {
  const all = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
  const shown = [...all].filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.disabled);
  shown.forEach((node, at) => { node.dataset.stop = String(at); });
  return shown.map((node) => `${node.dataset.stop} ${node.localName} ${node.textContent.slice(0, 30)}`);
}

/** Where the focus is, and whether one sees it. */
function at() {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const style = getComputedStyle(node);
  const box = node.getBoundingClientRect();
  const middle = document.elementFromPoint(
    Math.min(Math.max(box.left + Math.min(box.width / 2, 20), 1), innerWidth - 2),
    Math.min(Math.max(box.top + Math.min(box.height / 2, 14), 1), innerHeight - 2));
  return {
    stop: node.dataset.stop,
    name: `${node.localName} ${node.textContent.slice(0, 30)}`,
    outlined: style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2,
    onTop: middle !== null && (node.contains(middle) || middle.contains(node)),
  };
}

/** Goes through a page with Tab: everything is reached, and is seen where it is reached. */
async function walk(visit, hash) {
  const { page } = visit;
  await visit.open(hash);
  const wanted = await page.evaluate(usable);
  const reached = new Set();
  // Radio buttons aside, each stop is one Tab; a few more lead round through the browser.
  for (let steps = 0; steps < wanted.length + 8 && reached.size < wanted.length; steps += 1) {
    await page.keyboard.press("Tab");
    const here = await page.evaluate(at);
    if (!here?.stop) continue;
    assert.ok(here.outlined, `${hash}: the focus on ${here.name} cannot be seen`);
    assert.ok(here.onTop, `${hash}: ${here.name} is covered when it has the focus`);
    reached.add(here.stop);
  }
  const missed = wanted.filter((name) => !reached.has(name.split(" ")[0]));
  assert.deepEqual(missed, [], `${hash}: not reached with Tab`);
  return wanted.length;
}

async function skips(visit) {
  const { page } = visit;
  await visit.open("#/events?live=off");
  await page.keyboard.press("Tab");
  const link = page.getByRole("link", { name: "Skip to the content" });
  const box = await link.boundingBox();
  assert.ok(box.y >= 0, "it is seen when it has the focus");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  assert.match(page.url(), /#\/events\?live=off$/, "the page stays");
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.activeElement.closest("main") !== null));

  await page.getByRole("link", { name: "Audit" }).focus();
  await page.keyboard.press("/");
  assert.ok(await page.evaluate(() => "search" in document.activeElement.dataset));
  // In a field it is a character.
  await page.keyboard.type("a/b");
  assert.equal(await page.evaluate(() => document.activeElement.value), "a/b");
}

/** A new page tells so by the focus. */
async function announces(visit) {
  const { page } = visit;
  await visit.open();
  await page.getByRole("link", { name: "Audit" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Audit" }).waitFor();
  await visit.settled();
  await page.waitForFunction(() => document.activeElement.localName === "h1");
  assert.match(await page.title(), /^Audit · /);
}

/** A dialog keeps the focus in it, closes with Escape, and gives it back. */
async function traps(visit, hash, opener, act) {
  const { page } = visit;
  await visit.open(hash);
  const button = page.getByRole("button", { name: opener }).first();
  await button.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: act }).waitFor();
  assert.ok(await page.evaluate(() => document.activeElement.closest("dialog") !== null), "the dialog has the focus");
  const stops = new Set();
  for (let steps = 0; steps < 14; steps += 1) {
    await page.keyboard.press(steps % 5 === 4 ? "Shift+Tab" : "Tab");
    const where = await page.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return "browser";
      return node.closest("dialog") ? node.textContent || node.localName : `outside: ${node.outerHTML}`;
    });
    stops.add(where);
  }
  assert.deepEqual([...stops].filter((where) => where.startsWith("outside")), []);
  assert.ok(stops.size >= 3, `${[...stops]}`);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.ok(await button.evaluate((node) => node === document.activeElement), `${opener} has the focus again`);
}

export async function play({ browser, base, pages, dead, unreadable }) {
  let stops = 0;
  for (const options of [DESKTOP, PHONE]) {
    const visit = await Visit.begin(browser, base, options);
    for (const hash of pages) stops += await walk(visit, hash);
    await visit.end();
  }
  const visit = await Visit.begin(browser, base);
  await skips(visit);
  await announces(visit);
  await traps(visit, "#/dead", "Replay all of these …", /^Replay \d/);
  await traps(visit, "#/dead", "Drop all of these …", /^Drop \d/);
  await traps(visit, `#/events/${dead}`, "Replay …", /^Replay 1/);
  await traps(visit, `#/unreadable/${unreadable}`, "Drop …", /^Drop 1/);
  await visit.end();
  return { stops };
}
