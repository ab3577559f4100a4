//! Clients that take their time crowd out nobody.
