//! In the place of what is told to a way out, without the feature `tls`: there is none, and what would need one was refused.

use super::net::Reachable;
use super::secrets::BoundSecret;
use crate::problems::Problems;
use crate::tree::Place;

/// What can be reached has been refused as a whole.
pub(super) fn check(_: &[Reachable], _: &[String], _: impl Fn(&[&str]) -> Place, _: &mut Problems) {}

/// Refuses it, as nothing can put it in its place.
pub(super) fn check_secret(
    secret: &BoundSecret,
    _: (&[Reachable], &[String]),
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) {
    problems
        .error(
            place(&["secrets", &secret.name, "host"]),
            "this bartizan is built without TLS, and cannot put a secret in its place",
        )
        .help("use one that is built with the feature `tls`, as released ones are");
}
