// Strings that have broken other pages, in every field that the console shows: each is there as
// text, to the letter, and the page around it is the one around plain words.
//
// One normalisation there is: what is only white space (Unicode's White_Space) counts as absent, so
// that a title falls back to the subject, and a field of that kind is left out.

import assert from "node:assert/strict";
import { teach } from "./shape.mjs";
import { Visit } from "./visit.mjs";

const isBlank = (text) => /^\p{White_Space}*$/u.test(text);

/** All that is wrong, so that one run tells of every string. */
const problems = [];

function same(where, found, wanted) {
  if (JSON.stringify(found) === JSON.stringify(wanted)) return;
  problems.push(`${where}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

async function loadAll(page) {
  const more = page.getByRole("button", { name: "Show more" });
  while (await more.isVisible()) {
    const before = await page.locator("tbody tr").count();
    await more.click();
    await page.waitForFunction((count) => document.querySelectorAll("tbody tr").length > count, before);
  }
}

/** Every row of the table: its shape, and the text of each cell. */
function rows() {
  return [...document.querySelectorAll("tbody tr")].map((row) => ({
    seq: Number(row.dataset.seq ?? row.querySelector("a[href^='#/events/']").hash.split("/")[2]),
    shape: window.shapeOf(row),
    cells: Object.fromEntries([...row.children].map((cell) => [
      cell.dataset.name,
      [...cell.querySelectorAll("bdi")].map((one) => one.textContent),
    ])),
  }));
}

/** The rows by the position of their event; as many as there are strings. */
async function listed(page, strings) {
  await loadAll(page);
  const found = new Map((await page.evaluate(rows)).map((row) => [row.seq, row]));
  assert.equal(found.size, strings.length);
  return found;
}

/** No string has a colour that is none, as those have that are names of what every object has. */
async function colours(page, strings) {
  const odd = await page.evaluate(async (texts) => {
    const { tone } = await import("/console/format.js");
    return texts.filter((text) => typeof tone(text) !== "string");
  }, strings.map(({ text }) => text));
  assert.deepEqual(odd, []);
}

async function inEvents(visit, { strings, plain, blank }) {
  await visit.open("#/events?live=off");
  await colours(visit.page, strings);
  const found = await listed(visit.page, strings);
  for (const { seq, text } of strings) {
    const row = found.get(seq);
    same(`events ${seq} title`, row.cells.Title, isBlank(text) ? [] : [text]);
    same(`events ${seq} shape`, row.shape, found.get(isBlank(text) ? blank : plain).shape);
  }
}

async function inIncidents(visit, { strings, plain, blank }) {
  await visit.open("#/incidents");
  const found = await listed(visit.page, strings);
  for (const { seq, text, subject } of strings) {
    const { cells, shape } = found.get(seq);
    same(`incidents ${seq} title`, cells.Title, [isBlank(text) ? subject : text, subject]);
    same(`incidents ${seq} channel`, cells.Channel, isBlank(text) ? [] : [text]);
    same(`incidents ${seq} responders`, cells.Responders, isBlank(text) ? [] : [text]);
    same(`incidents ${seq} shape`, shape, found.get(isBlank(text) ? blank : plain).shape);
  }
}

/** Goes to each address in turn, within the page, and reads what it shows. */
async function readAll(addresses) {
  // A thousand pages: text and elements are there without being painted.
  document.body.style.display = "none";
  const main = document.getElementById("main");
  const shown = (hash) => new Promise((done) => {
    const watch = new MutationObserver(() => {
      // The mark is there as soon as the address is another one.
      if (main.hasAttribute("aria-busy")) return;
      watch.disconnect();
      done();
    });
    watch.observe(main, { attributes: true, attributeFilter: ["aria-busy"] });
    location.replace(hash);
  });
  const pairs = () => Object.fromEntries([...main.querySelectorAll("dl.pairs > dt")].map((name) =>
    [name.textContent, [...name.nextElementSibling.querySelectorAll("bdi")].map((one) => one.textContent)]));
  const read = async (hash) => {
    await shown(hash);
    return {
      shape: window.shapeOf(main),
      heads: [...main.querySelectorAll("h1 bdi, h2 bdi")].map((one) => one.textContent),
      pairs: pairs(),
      title: document.title,
      body: main.querySelector("pre")?.textContent,
    };
  };
  const all = [];
  for (const hash of addresses) all.push(await read(hash));
  return all;
}

function fields(where, found, { text, body }) {
  const absent = isBlank(text) ? undefined : [text];
  same(`${where} description`, found.pairs.Description, absent);
  same(`${where} channel`, found.pairs.Channel, absent);
  same(`${where} responders`, found.pairs.Responders, absent);
  same(`${where} link`, found.pairs["In Flashduty"], absent);
  const labels = Object.entries(JSON.parse(body).incident.labels);
  assert.ok(labels.length === 2 || text === "name");
  same(`${where} labels`, found.pairs.Labels, labels.map(([name, value]) => `${name}=${value}`));
}

/** Part of the strings; the plain and the blank one first, whose pages the others' are like. */
async function onTheirPages(visit, part, { plain, blank }, kind) {
  await visit.open("#/audit");
  const address = { event: ({ seq }) => `#/events/${seq}`, subject: ({ subject }) => `#/incidents/${encodeURIComponent(subject)}` };
  const found = await visit.page.evaluate(readAll, part.map(address[kind]));
  const like = (seq) => found[part.findIndex((one) => one.seq === seq)].shape;
  part.forEach((one, at) => {
    const { seq, text, subject, type, body } = one;
    const where = `${kind} ${seq}`;
    const page = found[at];
    fields(where, page, one);
    const fallback = kind === "event" ? type : subject;
    same(`${where} title`, page.heads, [isBlank(text) ? fallback : text]);
    same(`${where} shape`, page.shape, like(isBlank(text) ? blank : plain));
    if (kind === "event") {
      assert.ok(page.title.startsWith(`Event ${seq} `));
      same(`${where} body`, JSON.parse(page.body), JSON.parse(body));
    }
  });
}

export async function play({ browser, base, strings, plain, blank }) {
  const given = { strings, plain, blank };
  const begin = async () => {
    const visit = await Visit.begin(browser, base);
    await teach(visit.context);
    return visit;
  };
  const first = strings.filter(({ seq }) => seq === plain || seq === blank);
  const others = strings.filter(({ seq }) => seq !== plain && seq !== blank);
  const work = async (part, kind) => {
    const visit = await begin();
    if (kind === "event") await inEvents(visit, given);
    else await inIncidents(visit, given);
    await onTheirPages(visit, [...first, ...part], given, kind);
    await visit.end();
  };
  await Promise.all([work(others, "event"), work(others, "subject")]);
  assert.equal(problems.length, 0, `${problems.length} of them:\n${problems.slice(0, 40).join("\n")}`);
  return { strings: strings.length };
}
