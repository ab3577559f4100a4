// Every page, as different viewers see it: usable for all, nothing cut off, and a picture of each.

import assert from "node:assert/strict";
import { hour } from "./hour.mjs";
import { DESKTOP, PHONE, Visit } from "./visit.mjs";

/** Rows are alike: the first of a table stand for the others. */
const AXE_CONTEXT = { include: ["html"], exclude: ["tbody tr:nth-child(n+9)"] };
const AXE_OPTIONS = {
  resultTypes: ["violations"],
  preload: false,
  rules: { "target-size": { enabled: true } },
};
const GRAVE = ["serious", "critical"];

/** Every pair of width, colours and language is among them; of most pictures are taken. */
const VIEWERS = [
  { name: "light-en", locale: "en-GB", colorScheme: "light", ...DESKTOP },
  { name: "dark-en", locale: "en-GB", colorScheme: "dark", ...DESKTOP },
  { name: "light-zh", locale: "zh-CN", colorScheme: "light", ...DESKTOP },
  { name: "dark-zh", unseen: true, locale: "zh-CN", colorScheme: "dark", ...DESKTOP },
  { name: "phone-light-en", locale: "en-GB", colorScheme: "light", narrow: true, ...PHONE },
  { name: "phone-dark-zh", unseen: true, locale: "zh-CN", colorScheme: "dark", narrow: true, ...PHONE },
];

/** What axe finds in the page that others should not have to live with. */
async function findings(page, axe) {
  if (!await page.evaluate(() => "axe" in window)) await page.evaluate(axe);
  const found = await page.evaluate(([where, options]) => window.axe.run(where, options), [AXE_CONTEXT, AXE_OPTIONS]);
  return found.violations.map(({ id, impact, nodes }) =>
    ({ id, impact, nodes: nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`), count: nodes.length }));
}

/** What is too wide for the screen, and what a finger would miss. */
function cramped() {
  const width = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth > width
    ? [...document.querySelectorAll("body *")].filter((node) => node.getBoundingClientRect().right > width + 1)
      .map((node) => `${node.localName}.${node.className} reaches ${Math.round(node.getBoundingClientRect().right)}`)
    : [];
  const small = [...document.querySelectorAll("button, .button, select, input, textarea, nav a, summary")]
    .filter((node) => node.checkVisibility())
    .map((node) => [node, (node.closest("label.tick") ?? node).getBoundingClientRect()])
    .filter(([, box]) => box.height < 40 || box.width < 40)
    .map(([node, box]) => `${node.localName} ${node.textContent.slice(0, 20)} is ${Math.round(box.width)} by ${Math.round(box.height)}`);
  return { width, wide: wide.slice(0, 5), small };
}

/** The same in every size: text that does not fit where it is. */
function cut() {
  return [...document.querySelectorAll("button, .button, .badge, nav a, dd, dt, label, h1, h2, caption, figcaption, svg text")]
    .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0)
    .map((node) => `${node.localName} ${node.textContent.slice(0, 40)}`);
}

/** The tables that have no room on a desk, and had to be moved to and fro. */
function squeezed() {
  return [...document.querySelectorAll(".scroll")]
    .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1)
    .map((node) => `${node.ariaLabel} is ${node.scrollWidth} in ${node.clientWidth}`);
}

async function look(visit, viewer, { name, shot, silent }, report) {
  const { page } = visit;
  const all = silent ? [] : await findings(page, report.axe);
  report.checks += silent ? 0 : 1;
  report.slight += all.filter(({ impact }) => !GRAVE.includes(impact)).length;
  const where = `${name} ${viewer.name}`;
  const grave = all.filter(({ impact }) => GRAVE.includes(impact));
  report.problems.push(...grave.map((one) => `${where}: ${JSON.stringify(one, null, 1)}`));
  if (viewer.narrow) {
    const { wide, small } = await page.evaluate(cramped);
    report.problems.push(...wide.map((what) => `${where}: too wide: ${what}`));
    report.problems.push(...small.map((what) => `${where}: too small: ${what}`));
  }
  report.problems.push(...(await page.evaluate(squeezed)).map((what) => `${where}: squeezed: ${what}`));
  report.problems.push(...(await page.evaluate(cut)).map((what) => `${where}: cut off: ${what}`));
  if (viewer.unseen) return;
  await page.screenshot({ path: `${report.folder}/${name}-${viewer.name}.png`, fullPage: shot !== "screen" });
  report.pictures += 1;
}

async function asViewer(viewer, { browser, base, locked, closed, pages, folder }, report) {
  const { name, narrow, unseen, ...options } = viewer;
  const visit = await Visit.begin(browser, base, { ...options, expected: [/status of 404/] });
  // An hour of pushes would take an hour.
  await visit.context.route("**/api/v1/series", hour);
  await visit.open();
  for (const page of pages) {
    await visit.go(page.hash);
    for (const opened of page.open ?? []) await visit.page.locator(opened).first().click();
    if (page.until) await visit.page.locator(page.until).first().waitFor();
    await look(visit, viewer, page, report);
    if (page.shot === "screen") await visit.page.keyboard.press("Escape");
  }
  await visit.end();
  for (const [name, address, until] of [["login", locked, "input"], ["closed", closed, "pre"]]) {
    const outside = await Visit.begin(browser, address, { ...options, expected: [/status of 401/] });
    await outside.open();
    await outside.page.locator(`.login ${until}`).waitFor();
    await look(outside, viewer, { name }, report);
    await outside.end();
  }
}

export async function play(given) {
  const report = { axe: given.axe, folder: given.folder, checks: 0, pictures: 0, slight: 0, problems: [] };
  // Two at a time: the browser and the page's own scripts take turns.
  const waiting = [...VIEWERS];
  const work = async () => {
    for (let viewer = waiting.shift(); viewer; viewer = waiting.shift()) await asViewer(viewer, given, report);
  };
  await Promise.all([work(), work()]);
  assert.deepEqual(report.problems, [], report.problems.join("\n"));
  return { checks: report.checks, pictures: report.pictures, slight: report.slight };
}
