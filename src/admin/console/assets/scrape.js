// What the metrics tell of each sink, and how fast it goes while the page is open.

const LINE = /^([a-z_]+)(?:\{([^}]*)\})? (\S+)/;
const KEPT = 5 * 60_000;

function labels(text) {
  return Object.fromEntries([...(text ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

/** Reads an exposition into `{ name, labels, value }`, one for each line that has a value. */
export function read(exposition) {
  return exposition.split("\n").flatMap((line) => {
    const found = LINE.exec(line);
    return found ? [{ name: found[1], labels: labels(found[2]), value: Number(found[3]) }] : [];
  });
}

/** The totals of each sink: `Map` of name to `{ delivered, retried, dead, … }`. */
export function sinks(samples) {
  const found = new Map();
  const of = (name) => found.get(name) ?? found.set(name, {}).get(name);
  for (const { name, labels: { sink, outcome }, value } of samples) {
    if (sink === undefined) continue;
    if (name === "flashduty_deliveries_total") of(sink)[outcome] = value;
  }
  return found;
}

/** A metric without labels. */
export function single(samples, name) {
  return samples.find((sample) => sample.name === name)?.value;
}

/** Remembers totals for a few minutes and tells what came about a minute since. */
export class Rates {
  #seen = [];

  add(totals, at = Date.now()) {
    this.#seen.push({ totals, at });
    this.#seen = this.#seen.filter((seen) => at - seen.at <= KEPT);
  }

  /** Per minute; `undefined` before there is something to compare. */
  of(sink, outcomes) {
    const first = this.#seen[0];
    const last = this.#seen.at(-1);
    if (!first || last.at - first.at < 3000) return undefined;
    const sum = (seen) => outcomes.reduce((all, outcome) => all + (seen.totals.get(sink)?.[outcome] ?? 0), 0);
    // Less than before means that the receiver was started anew.
    return (Math.max(0, sum(last) - sum(first)) * 60_000) / (last.at - first.at);
  }
}
