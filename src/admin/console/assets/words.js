// The console's texts in the viewer's language. All of them stand in words.json.

import { recall, remember } from "./prefs.js";

const table = await (await fetch(new URL("words.json", import.meta.url))).json();

const LANGUAGES = ["en", "zh"];

function preferred() {
  const chosen = recall("language");
  if (LANGUAGES.includes(chosen)) return chosen;
  const first = navigator.languages?.find((tag) => LANGUAGES.includes(tag.slice(0, 2).toLowerCase()));
  return first?.slice(0, 2).toLowerCase() ?? "en";
}

let language = preferred();
mark();

function mark() {
  document.documentElement.lang = tag();
}

/** The language as browsers and formatters know it. */
export function tag() {
  return language === "zh" ? "zh-CN" : "en";
}

export function current() {
  return language;
}

export function choose(other) {
  language = LANGUAGES.includes(other) ? other : "en";
  remember("language", language);
  mark();
}

/**
 * The text called `key`. `{name}` stands for a value, `{name|one|many}` for a number and the word
 * that goes with it.
 */
export function t(key, values) {
  const text = table[key]?.[language] ?? table[key]?.en ?? key;
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}/g, (_, name, one, many) => {
    const value = values?.[name] ?? "";
    const shown = typeof value === "number" ? value.toLocaleString(tag()) : String(value);
    return one === undefined ? shown : `${shown} ${value === 1 ? one : many}`;
  });
}

/** The text of a word of the API, such as a state; the word itself when it is a new one. */
export function word(kind, value) {
  const known = table[`${kind}.${value}`];
  return known ? known[language] ?? known.en : String(value ?? "");
}
