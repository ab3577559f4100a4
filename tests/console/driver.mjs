// The browser's side of the tests: one Chromium for all of them, and a scene for each.
//
// Speaks JSON lines with the tests, which own the receivers: `{ id, scene, with }` begins a scene,
// `{ id, ask, with }` wants something done meanwhile, `{ id, answer }` says that it was, and
// `{ id, done }` or `{ id, failed }` ends it. Ends with its input, which is when the tests end.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/package.json`);
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const FLAGS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
];

// Playwright's own flags say the rest: headless, no sandbox, and a new folder for its data.
const browser = await chromium.launch({
  executablePath: process.argv[3], headless: true, chromiumSandbox: false, args: FLAGS,
});
const asked = new Map();

function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function play({ id, scene, with: given }) {
  const ask = (what, values) => new Promise((answered) => {
    asked.set(id, answered);
    tell({ id, ask: what, with: values ?? null });
  });
  try {
    const { play: acts } = await import(`./${scene}.mjs`);
    tell({ id, done: await acts({ browser, axe, ask, ...given }) ?? null });
  } catch (error) {
    tell({ id, failed: error.stack ?? String(error) });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.scene) play(message);
  else asked.get(message.id)(message.answer);
}
await browser.close();
