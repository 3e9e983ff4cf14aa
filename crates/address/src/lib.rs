//! Which hosts and addresses may be asked: told apart, without asking anybody.
//!
//! **Threat.** Whoever names a host decides where it leads: to this machine, to a router, to the service that hands out a cloud's
//! credentials. So everything that connects somewhere because of what somebody wrote tells hosts and addresses by this one crate: the
//! way out of confined servers, documents that others name, and servers behind URLs.

pub mod address;
pub mod host;
