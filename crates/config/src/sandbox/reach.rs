//! What a confined program may reach, as its way out is told.

use bartizan_reach::address::Range;
use bartizan_reach::host::Target;
use bartizan_reach::secret::{bound, check as check_value};
use bartizan_reach::{Cap, Limits, Policy, RequestRule, Rule, RuleError};
use http::{HeaderName, Method};

use super::net::Reachable;
use super::secrets::BoundSecret;
use super::{NetLimits, Sandbox};
use crate::problems::Problems;
use crate::tree::Place;

impl Sandbox {
    /// What the program may reach.
    ///
    /// # Errors
    /// Never, of one that was checked.
    pub fn policy(&self) -> Result<Policy, String> {
        policy(&self.hosts, &self.private, self.net_limits)
    }
}

fn policy(hosts: &[Reachable], private: &[String], limits: NetLimits) -> Result<Policy, String> {
    let near: Result<Vec<_>, _> = private.iter().map(|range| Range::parse(range)).collect();
    let near = near.map_err(|error| error.to_string())?;
    let rules: Result<Vec<_>, String> = hosts.iter().map(|host| Ok(rule(host)?.near(near.clone()))).collect();
    let cap = |each, all: Option<u64>| Cap { each, all: all.unwrap_or(u64::MAX) };
    let limits = Limits {
        connections: limits.connections,
        connections_per_minute: limits.connections_per_minute,
        sent: cap(limits.sent, limits.sent_in_all),
        received: cap(limits.received, limits.received_in_all),
    };
    Ok(Policy::new(rules?, limits))
}

/// Whether one of these allows this host and port. What is wrong with any of them is another matter.
pub(crate) fn reaches(hosts: &[Reachable], host: &str) -> bool {
    let rules: Vec<_> = hosts.iter().filter(|host| rule(host).is_ok()).cloned().collect();
    let target = Target::parse(host, None);
    let policy = policy(&rules, &[], NetLimits::default());
    policy.ok().zip(target.ok()).is_some_and(|(policy, target)| policy.permit(&target).is_some())
}

fn rule(host: &Reachable) -> Result<Rule, String> {
    let rule = Rule::parse(&host.host).map_err(|error| error.to_string())?;
    let methods: Result<Vec<_>, _> = host.methods.iter().map(|name| method(name)).collect();
    let methods = methods?;
    let whole = [String::from("/")];
    let paths = if host.is_narrowed() && host.paths.is_empty() { &whole } else { &*host.paths };
    let requests: Result<Vec<_>, RuleError> =
        paths.iter().map(|path| RequestRule::new(methods.iter().cloned(), path)).collect();
    Ok(rule.requests(requests.map_err(|error| error.to_string())?))
}

/// A method as requests have it: a lower case one is another method, which no server knows.
fn method(name: &str) -> Result<Method, String> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let method = Method::from_bytes(name.as_bytes()).ok().filter(|_| fits);
    let method = method.ok_or_else(|| "no method of requests, such as GET".to_owned())?;
    RequestRule::new([method.clone()], "/").map_err(|error| error.to_string())?;
    Ok(method)
}

/// Refuses what is no host, no method or no path.
pub(crate) fn check(
    hosts: &[Reachable],
    private: &[String],
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) {
    let mut rules = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let index = &*index.to_string();
        match Rule::parse(&host.host) {
            Ok(rule) => rules.push((rule, host, place(&["net", "allow", index]))),
            Err(error) => {
                problems
                    .error(place(&["net", "allow", index, "host"]), format!("`{}`: {error}", host.host))
                    .help("a host and a port, such as \"api.example.com:443\"");
            }
        }
        for (at, name) in host.methods.iter().enumerate() {
            if let Err(error) = method(name) {
                problems
                    .error(place(&["net", "allow", index, "methods", &at.to_string()]), format!("`{name}`: {error}"));
            }
        }
        for (at, path) in host.paths.iter().enumerate() {
            if let Err(error) = RequestRule::new([], path) {
                problems.error(place(&["net", "allow", index, "paths", &at.to_string()]), format!("`{path}`: {error}"));
            }
        }
    }
    for (rule, host, at) in rules.iter().filter(|(_, host, _)| host.is_narrowed()) {
        if rules.iter().any(|(other, whole, _)| other == rule && !whole.is_narrowed()) {
            problems
                .error(at.clone(), format!("another entry allows every request to `{}`", host.host))
                .help("leave that one out, or `methods` and `paths` here");
        }
    }
    for (index, range) in private.iter().enumerate() {
        if let Err(error) = Range::parse(range) {
            problems.error(place(&["net", "private", &index.to_string()]), format!("`{range}`: {error}"));
        }
    }
}

/// Refuses a secret that cannot stand where it is bound to, or that never would.
pub(super) fn check_secret(
    secret: &BoundSecret,
    hosts: &[Reachable],
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) {
    let name = &*secret.name;
    let of = |key| place(&["secrets", name, key]);
    if !secret.value.expose().is_empty() && check_value(secret.value.expose()).is_err() {
        problems.error(of("value"), format!("the value of `{name}` is too long, or has characters that no header has"));
    }
    for header in &secret.headers {
        let wrong = match HeaderName::try_from(header) {
            Ok(header) => bound("a.example", header).err().map(|error| error.to_string()),
            Err(_) => Some(format!("`{header}` is no name for a header")),
        };
        if let Some(wrong) = wrong {
            problems.error(of("header"), wrong);
        }
    }
    // What is wrong with a rule was said.
    let are_right = hosts.iter().all(|host| rule(host).is_ok());
    for host in &secret.hosts {
        if let Err(error) = bound(host, http::header::AUTHORIZATION) {
            problems
                .error(of("host"), format!("`{host}`: {error}"))
                .help("the name of one host, such as \"api.example.com\", without a port");
            continue;
        }
        let mut ports = hosts.iter().filter_map(|rule| rule.host.rsplit_once(':').map(|(_, port)| port));
        if are_right && !ports.any(|port| reaches(hosts, &format!("{host}:{port}"))) {
            problems
                .error(
                    of("host"),
                    format!("`{name}` is for `{host}`, which no rule of `net.allow` lets the program reach"),
                )
                .help(format!("net.allow = [\"{host}:443\"]"));
        }
    }
}
