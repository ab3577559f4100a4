//! Duplicate, stale, late, odd: each push is judged as documented, also under concurrency.
