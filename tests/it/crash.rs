//! Killed in the middle of load, again and again: what was acknowledged is there.
