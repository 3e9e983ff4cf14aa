//! Rules on hosts that are near, and do not do what they seem to.

use bartizan_reach::address::Kind;
use bartizan_reach::host::{Host, Target};

/// What names usually end with that lead into a private network.
const PRIVATE: &[&str] = &[".corp", ".home", ".home.arpa", ".internal", ".intranet", ".lan", ".local", ".private"];

/// What to know of a rule of `net.allow`, and what to do about it; `is_near` says whether `net.private` names any range.
pub(super) fn warning(rule: &str, is_near: bool) -> Option<(String, &'static str)> {
    let target = Target::parse(rule, None).ok()?;
    let host = &target.host;
    match host {
        Host::Name(name) if &**name == "localhost" || name.ends_with(".localhost") => Some(own(host)),
        Host::Address(address) if Kind::of(*address) == Kind::Loopback => Some(own(host)),
        Host::Name(name) if !is_near && (!name.contains('.') || PRIVATE.iter().any(|end| name.ends_with(end))) => {
            Some((
                format!("`{host}` seems to be in a private network, which is refused unless `private` names it"),
                "such as private = [\"10.0.0.0/8\"], or the one address that it has",
            ))
        }
        Host::Name(_) | Host::Address(_) => None,
    }
}

fn own(host: &Host) -> (String, &'static str) {
    (
        format!("in its sandbox `{host}` is the program itself, so this rule leads nowhere"),
        "name this machine by the address that it has in its network, where the service has to listen as well",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_said_to_be_unless_its_range_is_named() {
        for (rule, far, near) in [
            ("localhost:8080", Some("itself"), Some("itself")),
            ("db.localhost:5432", Some("itself"), Some("itself")),
            ("127.0.0.1:8080", Some("itself"), Some("itself")),
            ("[::1]:8080", Some("itself"), Some("itself")),
            ("nas.local:443", Some("`private`"), None),
            ("git.corp.internal:22", Some("`private`"), None),
            ("nas:443", Some("`private`"), None),
            ("api.example.com:443", None, None),
            ("local.example.com:443", None, None),
            // Named as it is, and so allowed.
            ("10.0.0.5:5432", None, None),
            ("10.0.0.0/8:5432", None, None),
            ("*.example.com:443", None, None),
            ("no rule", None, None),
        ] {
            for (is_near, expected) in [(false, far), (true, near)] {
                let found = warning(rule, is_near);
                assert_eq!(found.is_some(), expected.is_some(), "{rule} {is_near}: {found:?}");
                assert!(found.is_none_or(|(text, _)| text.contains(expected.unwrap())), "{rule}");
            }
        }
    }
}
