//! The profiles of a file, for a server that the file does not name.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Beginning, Config, parse};
use crate::diagnostic::{Diagnostics, Source};
use crate::expand::{WORKSPACE_REFERENCE, expand};
use crate::paths;
use crate::problems::Problems;
use crate::sandbox::AUTO;
use crate::tree;

/// The profiles of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProfiles {
    /// By name, each as a table `[profile.NAME]` that means the same in any other file.
    pub tables: BTreeMap<String, String>,
    /// The one of local servers without a table of their own; or `auto`, which is what it is if nothing is said, or `none`.
    pub default: String,
}

impl Default for OwnProfiles {
    fn default() -> Self {
        OwnProfiles { tables: BTreeMap::new(), default: AUTO.to_owned() }
    }
}

impl Config {
    /// The profiles of a file.
    ///
    /// # Errors
    /// If it cannot be read, or what is wrong with what the profiles refer to.
    pub fn profiles(path: &Path) -> Result<OwnProfiles, Diagnostics> {
        let Beginning { name, text, environment, .. } = Beginning::of(path)?;
        let mut root = parse(&text, &name)?;
        let source = Source::new(&name, &text, &root);
        tree::keep_only(&mut root, &["profile", "sandbox"]);
        let mut problems = Problems::default();
        expand(&mut root, &environment, &mut problems);
        problems.into_result(&source)?;
        let default = tree::get(&root, &["sandbox", "default"]).and_then(|chosen| chosen.get_ref().as_str());
        let default = default.unwrap_or(AUTO).to_owned();
        let Some(Value::Object(profiles)) = tree::get(&root, &["profile"]).map(tree::to_json) else {
            return Ok(OwnProfiles { default, ..OwnProfiles::default() });
        };
        let written = |(name, mut table): (String, Value)| {
            let_in_place(&mut table, &environment.directory);
            let entries = table.as_object().into_iter().flatten();
            let lines = entries.map(|(key, value)| format!("{} = {}\n", quoted(key), inline(value)));
            let text = format!("[profile.{}]\n{}", quoted(&name), lines.collect::<String>());
            (name, text)
        };
        Ok(OwnProfiles { tables: profiles.into_iter().map(written).collect(), default })
    }
}

/// Has paths mean the same wherever the table is read.
fn let_in_place(table: &mut Value, directory: &Path) {
    for list in ["ro", "rw", "hide"] {
        let paths = table.get_mut("fs").and_then(|files| files.get_mut(list)).and_then(Value::as_array_mut);
        for path in paths.into_iter().flatten() {
            if let Some(text) = path.as_str()
                && !text.starts_with(WORKSPACE_REFERENCE)
            {
                *path = paths::beside(directory, Path::new(text)).to_string_lossy().into();
            }
        }
    }
}

/// A value of a table, on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{} = {}", quoted(key), inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(array) => format!("[{}]", array.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // A variable was looked up already, and what looks like one now is none.
        Value::String(text) => {
            let escaped = text.replace("${", "$${").replace(&format!("${WORKSPACE_REFERENCE}"), WORKSPACE_REFERENCE);
            quoted(&escaped)
        }
        other => other.to_string(),
    }
}

/// As TOML and JSON write a text alike.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_mean_the_same_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("bartizan.toml");
        std::fs::write(
            &file,
            "[profile.mine]\nprofile = \"git\"\nfs.ro = [\"data\", \"/srv\", \"${workspace}/x\"]\nvariables.A = \"$${B}\"\nlimits.cpu = 0.5\n",
        )
        .unwrap();
        let profiles = Config::profiles(&file).unwrap();
        assert_eq!(profiles.default, "auto");
        let text = profiles.tables.get("mine").unwrap();
        let here = root.path().display();
        for part in
            ["\"${workspace}/x\"", "\"$${B}\"", "\"cpu\" = 0.5", &format!("\"{here}/data\""), "[profile.\"mine\"]\n"]
        {
            assert!(text.contains(part), "{text}: {part}");
        }
        let whole = format!("[server.x]\ncommand = [\"true\"]\n[server.x.sandbox]\nprofile = \"mine\"\n{text}");
        let environment = crate::Environment::of_process(Path::new("/"));
        let read = Config::parse(&whole, "whole", &environment).unwrap().0;
        let Some(crate::Upstream::Command(command)) = read.servers.get("x").map(|server| &server.upstream) else {
            panic!()
        };
        let sandbox = &command.sandbox;
        assert_eq!(sandbox.variables.get("A").map(String::as_str), Some("${B}"));
        assert_eq!((sandbox.cpu, sandbox.read_only.len()), (Some(500), 3));
    }

    #[test]
    fn the_default_is_said_with_and_without_profiles() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("bartizan.toml");
        for (text, tables) in [("", 0), ("[profile.mine]\n", 1)] {
            std::fs::write(&file, format!("[sandbox]\ndefault = \"none\"\n{text}")).unwrap();
            let profiles = Config::profiles(&file).unwrap();
            assert_eq!((&*profiles.default, profiles.tables.len()), ("none", tables));
        }
    }
}
