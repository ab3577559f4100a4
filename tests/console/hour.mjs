// An hour before the receiver was started, so that the charts have something to draw: a busy one,
// with a burst, a stand-still of the disk, a few refusals and some minutes in which nothing came.

const MINUTE = 60_000;
const MINUTES = 56;

/** Numbers from 0 to 1 that look random and are the same each time. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function minute(at, roll, index) {
  const quiet = index >= 38 && index < 41;
  if (quiet) return { at, pushes: {} };
  const burst = index >= 20 && index < 25 ? 5 : 1;
  const accepted = Math.round((6 + roll() * 14) * burst);
  const pushes = { accepted };
  if (roll() > 0.5) pushes.duplicate = Math.round(roll() * 3 * burst) + 1;
  if (roll() > 0.7) pushes.stale = Math.round(roll() * 2 * burst) + 1;
  if (index === 12 || index === 47) pushes.denied = 3;
  const p50 = 1.2 + roll() * 1.5;
  const p99 = p50 * (3 + roll() * 4) * (index === 23 ? 12 : 1);
  return {
    at, pushes,
    ack_ms: { p50, p99, max: p99 * (1.2 + roll()) },
    lag_ms: { p50: 90 + roll() * 60, p99: 300 + roll() * 200, max: 600 + roll() * 300 },
  };
}

/** Answers with that hour before the minutes that there were. */
export async function hour(route) {
  const answer = await route.fetch();
  const series = await answer.json();
  const first = Date.parse(series.buckets[0].at);
  const roll = dice(7);
  const before = Array.from({ length: MINUTES }, (_, index) =>
    minute(new Date(first - (MINUTES - index) * MINUTE).toISOString(), roll, index));
  series.buckets = [...before, ...series.buckets].slice(-60);
  await route.fulfill({ response: answer, json: series });
}
