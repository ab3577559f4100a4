// Language and colours: by the browser, by the viewer's choice, and remembered.

import assert from "node:assert/strict";
import { Visit } from "./visit.mjs";

const HAN = /[\u4e00-\u9fff]/;

async function language(visit) {
  return visit.page.evaluate(() => [document.documentElement.lang, document.querySelector("h1").textContent]);
}

/** Whether the page's ground is light, as it is painted. */
async function isLight(visit) {
  const [red] = await visit.page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
  return red > 127;
}

async function languages(browser, base) {
  for (const [locale, wanted] of [
    ["en-GB", ["en", "Overview"]], ["zh-CN", ["zh-CN", "概览"]], ["zh-TW", ["zh-CN", "概览"]], ["de-DE", ["en", "Overview"]],
  ]) {
    const visit = await Visit.begin(browser, base, { locale });
    await visit.open();
    assert.deepEqual(await language(visit), wanted, locale);
    await visit.end();
  }
  const visit = await Visit.begin(browser, base);
  const page = await visit.open();
  await page.getByLabel("Language").selectOption("zh");
  await page.getByRole("heading", { name: "概览" }).waitFor();
  await visit.open("#/events");
  assert.deepEqual(await language(visit), ["zh-CN", "事件"], "remembered over a reload");
  const other = await visit.context.newPage();
  await other.goto(base);
  await other.getByRole("heading", { name: "概览" }).waitFor();
  await other.getByLabel("语言").selectOption("en");
  await other.getByRole("heading", { name: "Overview" }).waitFor();
  await visit.open();
  assert.deepEqual(await language(visit), ["en", "Overview"]);
  await visit.end();
}

async function themes(browser, base) {
  for (const colorScheme of ["light", "dark"]) {
    const visit = await Visit.begin(browser, base, { colorScheme });
    const page = await visit.open();
    assert.equal(await isLight(visit), colorScheme === "light");
    const other = colorScheme === "light" ? "dark" : "light";
    await page.getByLabel("Colours").selectOption(other);
    assert.equal(await isLight(visit), other === "light", "the choice is stronger");
    await visit.open();
    assert.equal(await isLight(visit), other === "light", "remembered over a reload");
    await page.getByLabel("Colours").selectOption("auto");
    assert.equal(await isLight(visit), colorScheme === "light");
    await page.emulateMedia({ colorScheme: other });
    assert.equal(await isLight(visit), other === "light", "the system changes its colours");
    await visit.end();
  }
}

/** No page has text that is left in English, apart from what the receiver and its payloads say. */
async function chinese(browser, base, pages) {
  const visit = await Visit.begin(browser, base, { locale: "zh-CN" });
  for (const hash of pages) {
    await visit.open(hash);
    const said = await visit.page.evaluate(() => [...document.querySelectorAll("h1, h2, thead th, caption, dt, label, button, summary, .figures dt, nav a")]
      .filter((node) => !node.querySelector("bdi, select, input, textarea"))
      .map((node) => node.textContent.trim()).filter(Boolean));
    assert.ok(said.length > 8, hash);
    assert.deepEqual(said.filter((text) => !HAN.test(text) && !/^p\d\d$/.test(text)), [], hash);
  }
  await visit.end();
}

export async function play({ browser, base, pages }) {
  await languages(browser, base);
  await themes(browser, base);
  await chinese(browser, base, pages);
}
