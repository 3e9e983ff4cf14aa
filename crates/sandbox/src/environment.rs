//! The variables a server sees: none but those listed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

/// Passed on without being asked for: what a program needs to find its files, its language and its trusted
/// certificates. Proxy variables are missing on purpose, since their addresses often carry a password.
const ALLOWED: &[&str] = &[
    "COLORTERM",
    "CURL_CA_BUNDLE",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NODE_EXTRA_CA_CERTS",
    "NO_COLOR",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];
/// A shorter value is no secret worth the name, and would be found in many a word.
const SHORTEST_SECRET: usize = 8;
const ALLOWED_PREFIXES: &[&str] = &["LC_", "XDG_"];

/// The whole environment of a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    vars: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// No variable at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Those variables of this process that carry no secret by their nature.
    pub fn inherited() -> Self {
        Self::allowed_of(std::env::vars_os())
    }

    /// Those of `vars` that carry no secret by their nature.
    pub fn allowed_of(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let vars = vars.into_iter().filter(|(name, value)| {
            // A value that begins this way is a shell function, which old shells ran on sight.
            is_allowed(name) && !value.as_bytes().starts_with(b"()")
        });
        Self { vars: vars.collect() }
    }

    /// Adds a variable or replaces its value.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// Takes a variable out.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.vars.remove(name.as_ref());
        self
    }

    /// Names and values of those that may carry a secret: whatever was set or passed on beside the usual ones, if it is
    /// long enough to be one.
    pub fn private(&self) -> Vec<(String, String)> {
        let long = |(name, value): (&OsStr, &OsStr)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        let private = self.iter().filter(|(name, value)| !is_allowed(name) && value.len() >= SHORTEST_SECRET);
        private.filter_map(long).collect()
    }

    /// The value of a variable.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.vars.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// All variables, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.vars.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl fmt::Debug for Environment {
    /// Shows names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

fn is_allowed(name: &OsStr) -> bool {
    let prefixed = |prefix: &&str| name.as_bytes().starts_with(prefix.as_bytes());
    ALLOWED.iter().any(|allowed| name == *allowed) || ALLOWED_PREFIXES.iter().any(prefixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_variables_pass() {
        let check = |name: &str, value: &str, passes: bool| {
            let env = Environment::allowed_of([(name.into(), value.into())]);
            assert_eq!(env.get(name).is_some(), passes, "{name}={value}");
        };
        check("PATH", "/bin", true);
        check("HOME", "/home/ann", true);
        check("LC_ALL", "C", true);
        check("XDG_CONFIG_HOME", "/c", true);
        check("NODE_EXTRA_CA_CERTS", "/ca.pem", true);
        check("path", "/bin", false);
        check("GITHUB_TOKEN", "t", false);
        check("AWS_SECRET_ACCESS_KEY", "t", false);
        check("LD_PRELOAD", "/evil.so", false);
        check("NODE_OPTIONS", "--require /evil.js", false);
        check("SSH_AUTH_SOCK", "/agent", false);
        check("HTTPS_PROXY", "http://user:password@proxy", false);
        check("TERM", "() { :; }; echo", false);
    }

    #[test]
    fn values_never_show_in_debug_output() {
        let mut env = Environment::empty();
        env.set("TOKEN", "hunter2").set("GONE", "x").remove("GONE");
        assert_eq!(format!("{env:?}"), r#"{"TOKEN"}"#);
    }
}
