// Charts as pictures, each with its numbers as a sentence and as a table.

import { el, svg, table } from "./dom.js";
import { number, time } from "./format.js";
import { t, tag } from "./words.js";

const TOP = 8;
const BOTTOM = 20;
const LEFT = 54;
/** As wide as the text of a time. */
const CLOCK = 30;

/** Drawn smaller where there is little room, so that its text stays readable. */
function frame() {
  const narrow = window.matchMedia("(max-width: 640px)").matches;
  return { width: narrow ? 330 : 640, height: narrow ? 150 : 180 };
}

/** The next round number: 1, 2 or 5 and zeros. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

function clock(at) {
  return new Date(at).toLocaleTimeString(tag(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** What a chart is drawn on. A tick is a share of the height and its text. */
function axes({ width, height }, buckets, ticks) {
  const y = (share) => TOP + (height - TOP - BOTTOM) * (1 - share);
  const lines = ticks.map(([share, text]) => [
    svg("line", { class: "axis", x1: LEFT, x2: width, y1: y(share), y2: y(share) }),
    svg("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, text),
  ]);
  const every = Math.max(5, Math.round(buckets.length / 4));
  // A receiver that was just started has few minutes, which need not fill the width.
  const step = (width - LEFT) / Math.max(buckets.length, 20);
  const times = buckets.flatMap((bucket, at) => at % every === 0
    ? [svg("text", { x: Math.min(LEFT + step * at, width - CLOCK), y: height - 5 }, clock(bucket.at))]
    : []);
  return { y, step, drawn: svg("g", { "aria-hidden": "true" }, lines, times) };
}

function figure({ title, summary, legend, picture, columns, buckets }) {
  const rows = [...buckets].reverse();
  const numbers = table({
    caption: title,
    columns: [{ name: t("chart.minute"), cell: (bucket) => time(bucket.at), kind: "near" }, ...columns],
    rows,
    empty: t("chart.none"),
  });
  return el("figure", {},
    picture,
    el("ul", { class: "legend", "aria-hidden": "true" }, legend),
    el("figcaption", {}, summary),
    el("details", {}, el("summary", {}, t("chart.numbers")), numbers));
}

function key(shape, name) {
  return el("li", {}, svg("svg", { viewBox: "0 0 22 10" }, shape), name);
}

/** Stacked bars. A series is `{ name, style, of(bucket) }`. */
export function bars({ title, buckets, series, summary }) {
  const size = frame();
  const sums = buckets.map((bucket) => series.reduce((sum, one) => sum + one.of(bucket), 0));
  const top = round(Math.max(1, ...sums));
  const shares = top % 2 === 0 ? [0, 0.5, 1] : [0, 1];
  const { y, step, drawn } = axes(size, buckets, shares.map((share) => [share, number(top * share)]));
  const stacks = buckets.map((bucket, at) => {
    let below = 0;
    const said = series.filter((one) => one.of(bucket) > 0).map((one) => `${one.name} ${number(one.of(bucket))}`);
    const parts = series.map((one) => {
      const value = one.of(bucket);
      if (value === 0) return null;
      const from = y(below / top);
      below += value;
      const to = y(below / top);
      const width = Math.max(1, step - 1.5);
      return svg("rect", { class: one.style, x: LEFT + step * at, y: to, width, height: Math.max(0.5, from - to) });
    });
    return svg("g", {}, svg("title", {}, `${clock(bucket.at)} ${said.join(", ")}`), parts);
  });
  return figure({
    title,
    summary,
    buckets,
    picture: picture(size, title, summary, drawn, stacks),
    legend: series.map((one) => key(svg("rect", { class: one.style, width: 22, height: 10 }), one.name)),
    columns: series.map((one) => ({ name: one.name, cell: (bucket) => number(one.of(bucket)), kind: "num" })),
  });
}

/**
 * Lines, with a level that should not be reached. A series is `{ name, style, of(bucket) }`. The
 * scale is logarithmic: what usually takes a few milliseconds would lie flat on the ground below it.
 */
export function lines({ title, buckets, series, summary, level, show }) {
  const size = frame();
  const highest = Math.max(level.value, ...buckets.flatMap((bucket) => series.map((one) => one.of(bucket) ?? 0)));
  const top = round(highest * 1.5);
  const share = (value) => Math.log10(Math.max(value, 1)) / Math.log10(top);
  const decades = [1, 10, 100, 1000, 10_000, 100_000].filter((value) => value <= top);
  const { y, step, drawn } = axes(size, buckets, decades.map((value) => [share(value), show(value)]));
  const paths = series.map((one) => {
    // A minute without a push has no value: the line is broken there, and does not fall to zero.
    let pen = "M";
    const points = buckets.map((bucket, at) => {
      const value = one.of(bucket);
      if (value === undefined || value === null) {
        pen = "M";
        return "";
      }
      const x = LEFT + step * (at + 0.5);
      // A minute that has no other beside it is as wide as its bar would be.
      const alone = pen === "M" && (one.of(buckets[at + 1] ?? {}) ?? null) === null;
      const from = alone ? x - step / 2 : x;
      const point = `${pen}${from.toFixed(1)} ${y(share(value)).toFixed(1)}${alone ? `h${(step - 1.5).toFixed(1)}` : ""}`;
      pen = "L";
      return point;
    });
    return svg("path", { class: one.style, d: points.join("") });
  });
  const limit = y(share(level.value));
  const budget = svg("line", { class: "budget", x1: LEFT, x2: size.width, y1: limit, y2: limit });
  const shape = (style) => svg("path", { class: style, d: "M0 5h22" });
  return figure({
    title,
    summary,
    buckets,
    picture: picture(size, title, summary, drawn, [budget, paths]),
    legend: [...series.map((one) => key(shape(one.style), one.name)), key(shape("budget"), level.name)],
    columns: series.map((one) => ({
      name: one.name,
      cell: (bucket) => ((one.of(bucket) ?? null) === null ? "–" : show(one.of(bucket))),
      kind: "num",
    })),
  });
}

/** A small picture of what a sink did by the minute; the numbers stand beside it and in its label. */
export function spark(minutes, said) {
  const height = 20;
  const step = 2;
  const top = Math.max(1, ...minutes.map(({ delivered, failed }) => delivered + failed));
  const tall = (count) => (count > 0 ? Math.max(1, (height * count) / top) : 0);
  const stacks = minutes.map(({ delivered, failed }, at) => {
    const [good, bad] = [tall(delivered), tall(failed)];
    const bar = (style, y, length) => length > 0 && svg("rect", { class: style, x: at * step, y, width: step - 0.5, height: length });
    return [bar("bar-accepted", height - good, good), bar("bar-refused", Math.max(0, height - good - bad), bad)];
  });
  const ground = svg("line", { class: "axis", x1: 0, x2: 60 * step, y1: height, y2: height });
  return svg("svg", { class: "spark", viewBox: `0 0 ${60 * step} ${height}`, role: "img", "aria-label": said },
    svg("title", {}, said), ground, stacks);
}

function picture({ width, height }, title, summary, ...parts) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${summary}` }, parts);
}
