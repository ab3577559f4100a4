// Follows what comes in, through lost connections and restarts of the receiver.
//
// The stream gives each event once, in order. A browser takes it up behind the last one by itself;
// where it may not, as after a refusal, this page says where it was. Only a stream that was away for
// long begins anew at the present end, and the caller then looks for what it missed.

import * as api from "./api.js";

const FIRST = 1000;
const LAST = 15_000;
/** After so long what was missed is not worth being shown one by one. */
const LONG = 10 * 60_000;
/** What the stream can select by. */
const SELECTS = ["event_id", "event_type", "subject", "outcome", "route"];

/**
 * Calls `onEvent(row)`, `onMissed()` where the stream begins, `onGap({ after, from })` for what is
 * not stored any more, `onWaiting({ seconds })` while something may be held back, and
 * `onState("live" | "waiting" | "off")`, until `signal` is aborted.
 */
export function follow({ filter, onEvent, onMissed, onGap, onWaiting, onState, signal }) {
  const selected = Object.fromEntries(SELECTS.map((name) => [name, filter[name]]));
  let source;
  let retry;
  let pause = FIRST;
  let last;
  let heard = 0;
  const close = () => {
    clearTimeout(retry);
    if (source?.readyState === EventSource.OPEN) heard = Date.now();
    source?.close();
    source = undefined;
  };
  const again = () => {
    close();
    if (signal.aborted) return;
    onState("waiting");
    retry = setTimeout(open, pause);
    pause = Math.min(pause * 2, LAST);
  };
  const open = () => {
    if (signal.aborted || document.hidden) return;
    close();
    const after = Date.now() - heard < LONG ? last : undefined;
    let fresh = after === undefined;
    const stream = new EventSource(api.address("api/v1/stream", { ...selected, after }));
    source = stream;
    const on = (name, act) => stream.addEventListener(name, (message) => {
      last = message.lastEventId || last;
      heard = Date.now();
      const data = parsed(message.data);
      if (data) act(data);
    });
    stream.addEventListener("open", () => {
      pause = FIRST;
      heard = Date.now();
      onState("live");
    });
    on("position", () => {
      // All that comes is behind it, and all before it is there to be asked for.
      if (fresh) onMissed();
      fresh = false;
    });
    on("event", (row) => typeof row.seq === "number" && onEvent(row));
    on("gap", onGap);
    on("waiting", onWaiting);
    stream.addEventListener("error", () => {
      onState("waiting");
      if (stream.readyState !== EventSource.CLOSED) return;
      // It was refused. A session that has ended shows in any other request as well.
      api.get("status", {}, signal).then(again, (error) => {
        if (error.status === 401 || api.gone(error)) close();
        else again();
      });
    });
  };
  const visible = () => {
    // A hidden page gives its connection back: a browser has few of them for one address.
    if (document.hidden) {
      close();
      onState("off");
    } else {
      open();
    }
  };
  document.addEventListener("visibilitychange", visible);
  signal.addEventListener("abort", () => {
    document.removeEventListener("visibilitychange", visible);
    close();
  });
  open();
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
