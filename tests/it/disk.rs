//! Writes and syncs that fail: nothing is acknowledged that is not there.
