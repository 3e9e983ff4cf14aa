//! Puts values from the environment and from files where the configuration asks for them.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bartizan_keyring::{KeyringError, Kind, Name};
use toml::de::DeValue;

use crate::Environment;
use crate::diagnostic::{is_secret, of_sandbox};
use crate::paths;
use crate::problems::Problems;
use crate::suggest;
use crate::tree::{Node, Place};

/// Larger files are no secrets; the bound keeps a wrong path from filling the memory.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// What stands before the path of a file with a secret.
const FILE: &str = "file:";
/// What stands before the name of a secret in the keyring.
const KEYRING: &str = "keyring:";

/// The placeholder that stands for the directory in which a server is started; known only then.
const WORKSPACE: &str = "workspace";
/// How it stays in what is checked, until it is known.
pub(crate) const WORKSPACE_REFERENCE: &str = "${workspace}";

/// Replaces `${NAME}` and `${NAME:-default}` in every text, and `file:PATH` and `keyring:NAME` in values that may be secret. The
/// files that were read are returned.
pub(crate) fn expand(root: &mut Node<'_>, environment: &Environment, problems: &mut Problems) -> Vec<PathBuf> {
    walked(root, environment, problems, false)
}

/// The same where each value stands as it is meant: only `${workspace}` is known, and nothing is read.
pub(crate) fn keep(root: &mut Node<'_>, environment: &Environment, problems: &mut Problems) -> Vec<PathBuf> {
    walked(root, environment, problems, true)
}

fn walked(root: &mut Node<'_>, environment: &Environment, problems: &mut Problems, is_settled: bool) -> Vec<PathBuf> {
    let place = root.span();
    let mut expander = Expander { environment, problems, is_settled, is_keyring_slow: false, files: Vec::new() };
    expander.walk(root, &(place.start..place.start), &mut Vec::new());
    expander.files
}

struct Expander<'a> {
    environment: &'a Environment,
    problems: &'a mut Problems,
    /// Whether what looks like a reference to a secret is none.
    is_settled: bool,
    /// Whether the keyring gave no answer once: it is not waited for again.
    is_keyring_slow: bool,
    /// The files that were read.
    files: Vec<PathBuf>,
}

impl Expander<'_> {
    /// `key` is where the key stands whose value, or part of it, this is.
    fn walk(&mut self, node: &mut Node<'_>, key: &Place, path: &mut Vec<String>) {
        let place = node.span();
        match node.get_mut() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    path.push(key.get_ref().to_string());
                    self.walk(value, &key.span(), path);
                    path.pop();
                }
            }
            DeValue::Array(array) => array.iter_mut().for_each(|value| self.walk(value, key, path)),
            DeValue::String(text) => {
                let before = self.problems.errors();
                if let Some(expanded) = self.text(text, &place, path) {
                    *text = Cow::Owned(expanded);
                }
                if self.problems.errors() > before {
                    self.problems.unknown(place);
                    self.problems.unknown(key.clone());
                }
            }
            _ => {}
        }
    }

    /// The text that takes the place of `text`; none if it stays.
    fn text(&mut self, text: &str, place: &Place, path: &[String]) -> Option<String> {
        let secret = is_secret(path);
        let expanded = if text.contains("${") { Some(self.variables(text, place, path)) } else { None };
        let value = expanded.as_deref().unwrap_or(text);
        if self.is_settled {
            if secret {
                self.problems.hide(value);
            }
            return expanded;
        }
        // Decided by what the file says, so that a variable's value is never taken for a path or a name.
        let elsewhere = [(FILE, Expander::file as fn(&mut Self, &str, &Place) -> _), (KEYRING, Expander::keyring)];
        if let Some((prefix, read)) = elsewhere.iter().find(|(prefix, _)| secret && text.starts_with(prefix)) {
            let content = read(self, value.strip_prefix(prefix).unwrap_or(value), place)?;
            self.problems.hide(&content);
            return Some(content);
        }
        if secret {
            self.problems.hide(value);
        }
        if expanded.is_none() && !text.is_empty() && path.iter().eq(["detection", "judge", "key"]) {
            self.problems
                .warn(place.clone(), "a key stands in the file itself, for all to see who can read or copy it")
                .help("key = \"${JUDGE_KEY}\", \"file:PATH\" or \"keyring:NAME\"");
        }
        if expanded.is_none()
            && !text.is_empty()
            && of_sandbox(path).is_some_and(|below| matches!(below, [_, key] if key == "value"))
        {
            self.problems
                .warn(place.clone(), "a secret stands in the file itself, for all to see who can read or copy it")
                .help("value = \"${NAME}\", \"file:PATH\" or \"keyring:NAME\"");
        }
        expanded
    }

    fn variables(&mut self, text: &str, place: &Place, path: &[String]) -> String {
        // What is wrong with a reference is said without showing the text around it, which may be a secret that was
        // put in the wrong place.
        let place = &(place.start..place.start);
        let in_command = matches!(path, [first, _, third, ..] if first == "server" && third == "command");
        let in_command = in_command
            || matches!(path, [first, _, third, fourth, ..] if first == "server" && third == "sandbox" && fourth == "fs")
            || matches!(path, [first, _, third, ..] if first == "profile" && third == "fs");
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((inside, after)) = after.split_once('}') else {
                self.problems.error(place.clone(), "`${` without a `}`").help("write `$${` for the characters `${`");
                return out;
            };
            rest = after;
            if inside == WORKSPACE && in_command {
                out.push_str(WORKSPACE_REFERENCE);
            } else if self.is_settled {
                out.extend(["${", inside, "}"]);
            } else if let Some(value) = self.variable(inside, place) {
                out.push_str(&value);
            }
        }
        out.push_str(rest);
        out
    }

    fn variable(&mut self, inside: &str, place: &Place) -> Option<String> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if name == WORKSPACE {
            self.problems
                .error(
                    place.clone(),
                    "`${workspace}` has a value only in the `command` of a server and in the files of its sandbox",
                )
                .help("it is the directory in which the server is started, which is not known before");
            return None;
        }
        if !is_name(name) {
            self.problems
                .error(place.clone(), "no name of an environment variable between `${` and `}`")
                .help("write `${NAME}` or `${NAME:-default}`, and `$${` for the characters `${`");
            return None;
        }
        // As in a shell, a variable that is empty counts as not set where there is a default.
        let value = self.environment.variables.get(name).filter(|value| default.is_none() || !value.is_empty());
        match (value, default) {
            (Some(value), _) => {
                self.problems.hide(value);
                Some(value.clone())
            }
            (None, Some(default)) => Some(default.to_owned()),
            (None, None) => {
                let near = suggest::nearest(name, self.environment.variables.keys().map(String::as_str));
                let near = near.map(|near| format!("did you mean `${{{near}}}`? If not, ")).unwrap_or_default();
                let help = format!(
                    "{near}set `{name}` where bartizan is started, or write `${{{name}:-default}}` if it may be missing"
                );
                self.problems.error(place.clone(), format!("the environment variable `{name}` is not set")).help(help);
                None
            }
        }
    }

    fn file(&mut self, path: &str, place: &Place) -> Option<String> {
        let path = paths::beside(&self.environment.directory, Path::new(path));
        let shown = path.display();
        match read_secret(&path) {
            Ok((text, mode)) => {
                if mode & 0o077 != 0 {
                    self.problems
                        .warn(place.clone(), format!("{shown} holds a secret and is open to other users"))
                        .help(format!("chmod 600 {shown}"));
                }
                self.files.push(path);
                Some(text)
            }
            Err(why) => {
                self.problems.error(place.clone(), format!("cannot read {shown}: {why}"));
                None
            }
        }
    }

    fn keyring(&mut self, name: &str, place: &Place) -> Option<String> {
        let Some(name) = Name::parse(name) else {
            // It is not shown: it may be a secret that was put in the wrong place.
            self.problems
                .error(place.start..place.start, "no name of a secret after `keyring:`")
                .help("1 to 128 letters, digits and -_.@/, such as keyring:github-token");
            return None;
        };
        let read =
            if self.is_keyring_slow { Err(KeyringError::Slow) } else { bartizan_keyring::read(Kind::Secret, &name) };
        match read {
            Ok(Some(text)) => Some(text.trim().to_owned()),
            Ok(None) => {
                self.problems
                    .error(place.clone(), format!("the keyring has no secret `{name}`"))
                    .help(format!("put it there with `bartizan secret set {name}`"));
                None
            }
            Err(error) => {
                self.is_keyring_slow |= error == KeyringError::Slow;
                self.problems.error(place.clone(), format!("cannot read `{name}` in the keyring: {error}"));
                None
            }
        }
    }
}

/// The trimmed content and the mode of a small regular file.
///
/// # Errors
/// In words, if it cannot be read or is none.
pub fn read_secret(path: &Path) -> Result<(String, u32), String> {
    // Looked at first, as opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode();
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok((text.trim().to_owned(), mode))
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}
