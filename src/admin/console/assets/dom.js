// Builds the page. Text is always a text node: nothing that comes from a payload is ever markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  const there = (child) => child !== null && child !== undefined && child !== false;
  node.append(...children.flat(Infinity).filter(there));
  return node;
}

/** An element; a function among the attributes listens to the event of that name. */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a picture. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Text from a payload: on its own in the line, whatever its writing direction. */
export function said(text) {
  return el("bdi", {}, text);
}

/** A link out of the console, if `url` is one that a browser merely visits; else its text. */
export function outside(url, text) {
  let target;
  try {
    target = new URL(url);
  } catch {
    return said(url);
  }
  if (target.protocol !== "https:" && target.protocol !== "http:") return said(url);
  const rel = "noopener noreferrer";
  return el("a", { href: target.href, rel, target: "_blank" }, said(text ?? url));
}

/** A button that is off while what it does goes on, and says beside it when that fails. */
export function button(text, act, attributes) {
  const made = el("button", { type: "button", ...attributes }, text);
  let trouble;
  made.addEventListener("click", async (event) => {
    trouble?.remove();
    made.disabled = true;
    try {
      await act(event);
    } catch (error) {
      if (error.name === "AbortError") return;
      trouble = notice("bad", error.message);
      made.after(trouble);
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

/** Says something to those who do not see it. */
export function speak(text) {
  document.getElementById("spoken").textContent = text;
}

export function heading(text, ...beside) {
  return el("div", { class: "head" }, el("h1", { tabindex: "-1" }, text), beside);
}

export function notice(kind, ...children) {
  return el("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, children);
}

export function pairs(...rows) {
  const shown = rows.filter((row) => row && row[1] !== null && row[1] !== undefined && row[1] !== "");
  return el("dl", { class: "pairs" }, shown.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/**
 * A table with a caption. A column is `{ name, cell(row), kind }`; the first one names its row. The
 * roles are given because a narrow screen shows rows as cards, which would take them away.
 */
export function table({ caption, columns, rows, empty, rowClass }) {
  const body = el("tbody", { role: "rowgroup" }, rows.map((row) => tableRow(columns, row, rowClass?.(row))));
  const head = columns.map((column) =>
    el("th", { scope: "col", role: "columnheader", class: column.kind }, column.name));
  const made = el("table", { class: "cards", role: "table" },
    el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
    body);
  const nothing = rows.length === 0 && empty ? el("p", { class: "muted" }, empty) : null;
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made, nothing);
}

export function tableRow(columns, row, className) {
  const cells = columns.map((column, at) => {
    const attributes = { class: column.kind, "data-name": column.name };
    return at === 0
      ? el("th", { scope: "row", role: "rowheader", ...attributes }, el("span", {}, column.cell(row)))
      : el("td", { role: "cell", ...attributes }, el("span", {}, column.cell(row)));
  });
  return el("tr", { role: "row", class: className }, cells);
}

/** Makes `old` look like `fresh`, and leaves alone what is the same: focus and open details stay. */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else {
    morphList(old, fresh);
  }
}

function morphList(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const wanted = [...fresh.childNodes];
  const there = [...old.childNodes];
  wanted.forEach((child, at) => (at < there.length ? morph(there[at], child) : old.append(child)));
  there.slice(wanted.length).forEach((child) => child.remove());
}

/** A field of a form, with its label. */
export function field(label, control) {
  return el("label", {}, label, control);
}

export function choice(name, options, value) {
  const made = el("select", { name }, options.map(([key, text]) => el("option", { value: key }, text)));
  made.value = value ?? options[0][0];
  return made;
}

export function input(name, value, attributes) {
  return el("input", { name, value, autocomplete: "off", spellcheck: "false", ...attributes });
}

/** What a form holds, without what was left empty. */
export function filled(form) {
  const entries = [...new FormData(form)].map(([name, value]) => [name, String(value).trim()]);
  return Object.fromEntries(entries.filter(([, value]) => value !== ""));
}
