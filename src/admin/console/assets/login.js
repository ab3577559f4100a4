// Asks for the token. It is sent once and is kept nowhere here: what comes back is a cookie that
// scripts cannot read.

import * as api from "./api.js";
import { el, field, notice } from "./dom.js";
import { remember } from "./prefs.js";
import { t } from "./words.js";

const NOT_SET = "urn:flashduty-receiver:token-not-set";

/** Shows the form, or what is to be set first; `then` is called once there is a session. */
export function ask(main, problem, then) {
  remember("session", "no");
  if (problem?.kind === NOT_SET) {
    main.replaceChildren(el("section", { class: "login" },
      el("h1", { tabindex: "-1" }, t("login.impossible")),
      el("p", {}, t("login.impossible.means")),
      el("pre", { class: "wrap" }, '[admin]\ntoken = "file:/run/secrets/admin-token"'),
      el("p", { class: "muted" }, problem.message)));
    return;
  }
  const token = el("input", { name: "token", type: "password", autocomplete: "current-password", required: true });
  const told = el("div", { role: "alert" });
  const send = el("button", { class: "first" }, t("login.do"));
  const form = el("form", { method: "post", action: "login" }, field(t("login.token"), token), send, told);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    told.replaceChildren();
    try {
      await api.login(token.value);
      token.value = "";
      remember("session", "yes");
      then();
    } catch (error) {
      const known = { 401: "login.wrong", 429: "login.too_many" }[error.status];
      told.replaceChildren(notice("bad", known ? t(known) : error.message));
      token.select();
    } finally {
      send.disabled = false;
    }
  });
  main.replaceChildren(el("section", { class: "login" },
    el("h1", { tabindex: "-1" }, t("login.title")),
    el("p", { class: "muted" }, t("login.means")),
    form));
  token.focus();
}
