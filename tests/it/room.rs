//! A small volume under load, and a full one.
