//! Tests of the whole door.
