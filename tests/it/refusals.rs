//! What bad input gets: the right status, a problem document, a line, a metric.
