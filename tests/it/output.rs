//! Stdout that nobody reads, or that is closed, holds up nothing but itself.
