// A viewer of the console: a browser context of its own, and all that must not happen in it.

import assert from "node:assert/strict";

export const DESKTOP = { viewport: { width: 1280, height: 900 } };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
const PATIENCE = 20_000;

/** Watches each document from before its first script. */
function watch() {
  document.addEventListener("securitypolicyviolation", (event) =>
    window.tellTest(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  Object.defineProperty(window, "__ran", { set: () => window.tellTest("a script of a payload ran") });
}

export class Visit {
  /** `expected` are console lines that the scene brings about itself. */
  static async begin(browser, base, { expected = [], ...options } = {}) {
    const visit = new Visit();
    Object.assign(visit, { base, expected, troubles: [], loaded: 0, requests: 0 });
    const context = await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Paris", ...DESKTOP, ...options });
    context.setDefaultTimeout(PATIENCE);
    visit.context = context;
    await context.exposeBinding("tellTest", (_, what) => visit.trouble(what));
    await context.addInitScript(watch);
    const origin = new URL(base).origin;
    context.on("request", (request) => {
      visit.requests += 1;
      if (new URL(request.url()).origin !== origin) visit.trouble(`a request to ${request.url()}`);
    });
    context.on("console", (message) => {
      const line = `${message.text()} ${message.location().url}`;
      if (["error", "warning"].includes(message.type())) visit.trouble(`console: ${line}`);
    });
    context.on("weberror", ({ error }) => visit.trouble(`uncaught: ${error()}`));
    context.on("dialog", async (dialog) => {
      visit.trouble(`a ${dialog.type()}: ${dialog.message()}`);
      await dialog.dismiss();
    });
    visit.page = await context.newPage();
    return visit;
  }

  trouble(what) {
    if (!this.expected.some((pattern) => pattern.test(what))) this.troubles.push(what);
  }

  /** Loads the console at `hash` and waits until it shows what it was asked for. */
  async open(hash = "#/") {
    // Where only the hash is another one, nothing would be loaded.
    await this.page.goto("about:blank");
    await this.page.goto(`${this.base}/${hash}`);
    this.loaded += 1;
    await this.settled();
    return this.page;
  }

  /** Follows the address within the page that is loaded. */
  async go(hash) {
    await this.page.evaluate((to) => {
      if (location.hash === to) return null;
      return new Promise((changed) => {
        window.addEventListener("hashchange", changed, { once: true });
        location.hash = to;
      }).then(() => null);
    }, hash);
    await this.settled();
  }

  async settled() {
    await this.page.locator("main:not([aria-busy]) h1").first().waitFor();
  }

  /** Closes it; complains of all that nobody expected. */
  async end() {
    await this.context.close();
    assert.deepEqual(this.troubles, []);
  }
}
