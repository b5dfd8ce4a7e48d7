//! What a distribution gets: the unit of systemd and the Debian package.

mod debian;
mod unit;
