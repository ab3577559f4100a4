//! Every kind of event is taken, stored byte for byte and shown.
