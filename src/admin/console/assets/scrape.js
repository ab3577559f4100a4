// What the metrics tell of each sink since the start.

const LINE = /^([a-z_]+)(?:\{([^}]*)\})? (\S+)/;

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
