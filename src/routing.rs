//! Which sinks want an event.
