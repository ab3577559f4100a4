//! Whole configurations, right and wrong, read as the service reads them.

mod layering;
mod wrong;
