//! Profiles: what the table `sandbox` of a server begins with, built in or a table `[profile.NAME]` of the same form.
//!
//! They are put together as tables, before anything of them is read, so that each key behaves alike: lists of the server
//! follow those of the profile, and everything else of the server's counts in the place of the profile's. What a profile
//! protects (`fs.deny`) is a list, so a server's own table can only add to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::Environment;
use crate::problems::Problems;
use crate::sandbox::{DENY, SandboxTable, defaults, sandbox};
use crate::suggest;
use crate::tree::{self, Node, Place};

/// A profile that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Its table, as TOML that begins with what it is for.
    pub text: &'static str,
}

/// The profiles that are part of the program.
pub const PROFILES: &[Profile] = &[
    Profile { name: "browser", text: include_str!("profiles/browser.toml") },
    Profile { name: "fetch", text: include_str!("profiles/fetch.toml") },
    Profile { name: "filesystem", text: include_str!("profiles/filesystem.toml") },
    Profile { name: "git", text: include_str!("profiles/git.toml") },
    Profile { name: "npx", text: include_str!("profiles/npx.toml") },
    Profile { name: "sqlite", text: include_str!("profiles/sqlite.toml") },
    Profile { name: "strict", text: include_str!("profiles/strict.toml") },
    Profile { name: "uvx", text: include_str!("profiles/uvx.toml") },
];

impl Profile {
    /// What it is for: the comment that it begins with, as one line.
    #[must_use]
    pub fn about(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("# "));
        lines.collect::<Vec<_>>().join(" ")
    }
}

/// The table that says what is installed before a server starts.
const INSTALL: &str = "install";

/// The profile of that name that is part of the program.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// Puts what the profiles of servers and of other profiles say in front of what these say themselves.
pub(crate) fn apply(root: &mut Node<'_>, problems: &mut Problems) {
    let profiles: BTreeMap<String, Node<'_>> = tree::keys(root, &["profile"])
        .into_iter()
        .filter_map(|name| Some((name.clone(), tree::get(root, &["profile", &name])?.clone())))
        .collect();
    for name in profiles.keys().filter(|name| built_in(name).is_some()) {
        problems
            .error(tree::key_place(root, &["profile", name]), format!("`{name}` is a built-in profile"))
            .help("give yours another name; with `profile` in it, it can begin with the built-in one");
    }
    for (name, meaning) in defaults::RESERVED.into_iter().filter(|(name, _)| profiles.contains_key(*name)) {
        problems
            .error(tree::key_place(root, &["profile", name]), format!("`{name}` stands for {meaning}"))
            .help("give yours another name");
    }
    let known = Known { profiles: &profiles };
    if let Some(name) = known.by_default(root, problems) {
        defaults::apply(root, &name);
    }
    for name in tree::keys(root, &["server"]) {
        let sandbox = tree::entry(root, "server")
            .and_then(|servers| tree::entry(servers, &name))
            .and_then(|server| tree::entry(server, "sandbox"));
        if let Some(sandbox) = sandbox {
            known.complete(sandbox, &mut Vec::new(), problems);
        }
        if let Some(server) = tree::entry(root, "server").and_then(|servers| tree::entry(servers, &name)) {
            known.install(server);
        }
    }
    for name in profiles.keys() {
        if let Some(profile) = tree::entry(root, "profile").and_then(|all| tree::entry(all, name)) {
            known.complete(profile, &mut vec![name.clone()], problems);
        }
    }
}

/// Checks the profiles of a file as the tables of servers are, also those that no server names.
pub(crate) fn check(
    profiles: &BTreeMap<String, SandboxTable>,
    root: &Node<'_>,
    environment: &Environment,
    problems: &mut Problems,
) {
    for (name, table) in profiles {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 24 || !name.chars().all(plain) || name.starts_with('-') {
            problems
                .error(tree::key_place(root, &["profile", name]), format!("`{name}` is no name for a profile"))
                .help("a name is 1 to 24 of a-z, 0-9 and -, starting with a letter or digit");
        }
        sandbox(table, (root, &environment.directory), (&["profile", name], None), problems);
    }
}

/// The profiles of a file.
struct Known<'a, 'i> {
    profiles: &'a BTreeMap<String, Node<'i>>,
}

impl<'i> Known<'_, 'i> {
    /// Puts what the profile of a table says in front of the table; `seen` are the profiles on the way here.
    fn complete(&self, table: &mut Node<'i>, seen: &mut Vec<String>, problems: &mut Problems) {
        let named = tree::entry(table, "profile").map(|node| (node.span(), node.get_ref().as_str().map(str::to_owned)));
        // What is no text is refused where the table is read.
        let Some((place, Some(name))) = named else { return };
        if seen.contains(&name) {
            problems.error(place, format!("the profile `{name}` would begin with itself"));
            return;
        }
        let Some(mut base) = self.find(&name, &place, problems) else { return };
        seen.push(name);
        self.complete(&mut base, seen, problems);
        // What is wrong with it is said where it stands, and once.
        if SandboxTable::deserialize(ValueDeserializer::from(base.clone())).is_err() {
            return;
        }
        protect(&mut base, &place);
        merge(&mut base, table.clone());
        *table = Spanned::new(table.span(), base.into_inner());
    }

    /// Has what a runner of packages would fetch installed first, also where another built-in profile is asked for: under none of
    /// these could it be fetched.
    fn install(&self, server: &mut Node<'i>) {
        let program = tree::get(server, &["command", "0"]).and_then(|word| word.get_ref().as_str());
        let Some(runner) = program.and_then(defaults::runner).and_then(built_in) else { return };
        let Some(sandbox) = tree::entry(server, "sandbox") else { return };
        let text = |path: &[&str]| tree::get(sandbox, path).and_then(|node| node.get_ref().as_str());
        let is_of_the_machine =
            tree::get(sandbox, &["net", "host"]).and_then(|node| node.get_ref().as_bool()) == Some(true);
        let is_meant = text(&["profile"]).is_some_and(|name| self.begins_built_in(name))
            && text(&["level"]) != Some(defaults::UNCONFINED)
            && !is_of_the_machine;
        let (place, (table, _)) = (sandbox.span(), DeTable::parse_recoverable(runner.text));
        let says_with = tree::get(sandbox, &[INSTALL, "with"]).is_some();
        if let (true, false, DeValue::Table(sandbox)) = (is_meant, says_with, sandbox.get_mut())
            && let Some(install) = table.get_ref().get(INSTALL)
        {
            let mut install = at(install.get_ref().clone(), &place);
            let key = Spanned::new(place.clone(), Cow::Borrowed(INSTALL));
            if let Some(own) = sandbox.remove(&key) {
                merge(&mut install, own);
            }
            sandbox.insert(key, install);
        }
    }

    /// Whether a profile is a built-in one, or begins with one.
    fn begins_built_in(&self, name: &str) -> bool {
        let next = |name: &String| {
            let named = tree::get(self.profiles.get(name)?, &["profile"])?.get_ref().as_str()?;
            Some(named.to_owned())
        };
        // One that begins with itself would go on for ever.
        let mut on_the_way =
            std::iter::successors(Some(name.to_owned()), next).take(self.profiles.len().saturating_add(1));
        on_the_way.any(|name| built_in(&name).is_some())
    }

    /// The profile of servers that have no table, or what stands for one; none if there is none of that name.
    fn by_default(&self, root: &Node<'_>, problems: &mut Problems) -> Option<String> {
        let Some(chosen) = tree::get(root, &["sandbox", "default"]) else { return Some(defaults::AUTO.to_owned()) };
        // What is no text is refused where it is read.
        let name = chosen.get_ref().as_str()?;
        let stands_for_one = defaults::RESERVED.iter().any(|(reserved, _)| *reserved == name);
        (stands_for_one || self.find(name, &chosen.span(), problems).is_some()).then(|| name.to_owned())
    }

    fn find(&self, name: &str, place: &Place, problems: &mut Problems) -> Option<Node<'i>> {
        if let Some(profile) = built_in(name) {
            let (table, _) = DeTable::parse_recoverable(profile.text);
            return Some(at(DeValue::Table(table.into_inner()), place));
        }
        let found = self.profiles.get(name).cloned();
        if found.is_none() {
            let own = self.profiles.keys().map(String::as_str);
            let known: Vec<_> =
                PROFILES.iter().map(|profile| profile.name).chain([defaults::AUTO]).chain(own).collect();
            let help = match name {
                defaults::AUTO => "`auto` is for servers, as which profile it is depends on the command".to_owned(),
                defaults::UNCONFINED => "`none` is a level: `level = \"none\"`".to_owned(),
                _ => suggest::help(name, known),
            };
            problems.error(place.clone(), format!("there is no profile `{name}`")).help(help);
        }
        found
    }
}

/// Writes down the names that are protected where nothing else is said, so that a list of the server's adds to them.
fn protect(base: &mut Node<'_>, place: &Place) {
    if tree::get(base, &["fs", "deny"]).is_some() {
        return;
    }
    let names = DENY.iter().map(|name| Spanned::new(place.clone(), DeValue::String(Cow::Borrowed(*name)))).collect();
    let key = |key: &'static str| Spanned::new(place.clone(), Cow::Borrowed(key));
    if let DeValue::Table(table) = base.get_mut() {
        let files =
            table.entry(key("fs")).or_insert_with(|| Spanned::new(place.clone(), DeValue::Table(DeTable::new())));
        if let DeValue::Table(files) = files.get_mut() {
            files.insert(key("deny"), Spanned::new(place.clone(), DeValue::Array(names)));
        }
    }
}

/// Puts `over` on top of `base`: lists follow, tables are put together, and everything else counts in its place.
fn merge<'i>(base: &mut Node<'i>, over: Node<'i>) {
    let place = over.span();
    match (base.get_mut(), over.into_inner()) {
        (DeValue::Table(base), DeValue::Table(over)) => {
            for (key, value) in over {
                match base.get_mut(&**key.get_ref()) {
                    Some(below) => merge(below, value),
                    None => drop(base.insert(key, value)),
                }
            }
        }
        (DeValue::Array(base), DeValue::Array(over)) => {
            for value in over {
                let twice = |one: &Node<'_>| {
                    one.get_ref().as_str().is_some() && one.get_ref().as_str() == value.get_ref().as_str()
                };
                if !base.iter().any(twice) {
                    base.push(value);
                }
            }
        }
        (_, over) => *base = Spanned::new(place, over),
    }
}

/// The value as if all of it stood at one place of another text.
fn at<'i>(value: DeValue<'i>, place: &Place) -> Node<'i> {
    let value = match value {
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| (Spanned::new(place.clone(), key.into_inner()), at(value.into_inner(), place)))
                .collect(),
        ),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|value| at(value.into_inner(), place)).collect()),
        other => other,
    };
    Spanned::new(place.clone(), value)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::{Allowed, Arguments, Config, Installer, Sandbox, Upstream};

    fn read(command: &str, text: &str) -> Result<Sandbox, String> {
        let text = format!("[server.x]\ncommand = {command}\n{text}");
        let mut environment = Environment::of_process(Path::new("/base"));
        environment.variables.insert("BARTIZAN_HOME".into(), "/state".into());
        let read = Config::parse(&text, "test.toml", &environment).map_err(|wrong| wrong.to_string())?;
        match &read.0.servers.get("x").unwrap().upstream {
            Upstream::Command(command) => Ok(*command.sandbox.clone()),
            Upstream::Http(_) => panic!("a program was written"),
        }
    }

    fn check(text: &str, looks: impl Fn(&Sandbox) -> bool) {
        let sandbox = read("[\"true\"]", text).unwrap();
        assert!(looks(&sandbox), "{text}: {sandbox:#?}");
    }

    fn names(sandbox: &Sandbox) -> Vec<&str> {
        sandbox.protected.iter().filter_map(|(name, _)| name.to_str()).collect()
    }

    #[test]
    fn lists_follow_those_of_the_profile_and_all_else_counts_in_its_place() {
        check("[server.x.sandbox]\nprofile = \"filesystem\"\n", |held| {
            (held.arguments, held.memory, held.profile.as_deref()) == (Arguments::Rw, 512 << 20, Some("filesystem"))
        });
        check(
            "[server.x.sandbox]\nprofile = \"filesystem\"\nlimits.memory = \"2GiB\"\nfs.arguments = \"ro\"\n",
            |held| (held.arguments, held.memory, held.pids) == (Arguments::Ro, 2 << 30, 128),
        );
        let own = "[profile.one]\nfs.ro = [\"a\", \"/b\"]\nallow = [\"netlink_route\"]\nvariables = { A = \"1\", B = \"2\" }\n\
                   [server.x.sandbox]\nprofile = \"one\"\nfs.ro = [\"/b\", \"c\"]\nallow = [\"unix_sockets\"]\nvariables.B = \"3\"\n";
        check(own, |held| {
            held.read_only == ["/base/a", "/b", "/base/c"].map(PathBuf::from)
                && held.allow == [Allowed::NetlinkRoute, Allowed::UnixSockets]
                && held.variables.values().map(String::as_str).collect::<String>() == "13"
        });
        check(
            "[profile.one]\nprofile = \"git\"\nlimits.pids = 7\n[server.x.sandbox]\nprofile = \"one\"\nfs.rw = [\"${workspace}\"]\n",
            |held| {
                held.pids == 7
                    && held.variables.contains_key("GIT_CONFIG_COUNT")
                    && held.writable == [Path::new("${workspace}")]
            },
        );
    }

    #[test]
    fn a_server_cannot_take_a_name_out_of_what_its_profile_protects() {
        for deny in ["fs.deny = []", "fs.deny = [\"more\"]", ""] {
            check(&format!("[server.x.sandbox]\nprofile = \"git\"\n{deny}\n"), |held| {
                names(held).contains(&".git/hooks")
            });
            check(&format!("[server.x.sandbox]\nprofile = \"fetch\"\n{deny}\n"), |held| names(held).contains(&".git"));
            check(
                &format!("[profile.one]\nprofile = \"git\"\n{deny}\n[server.x.sandbox]\nprofile = \"one\"\n"),
                |held| names(held).contains(&".git/hooks"),
            );
        }
        check("[server.x.sandbox]\nprofile = \"git\"\nfs.deny = [\"more\"]\n", |held| {
            names(held).last() == Some(&"more")
        });
        // Without a profile, and in one of its own, the list is the server's to write.
        check("[server.x.sandbox]\nfs.deny = []\n", |held| names(held).is_empty());
        check("[profile.one]\nfs.deny = [\"only\"]\n[server.x.sandbox]\nprofile = \"one\"\n", |held| {
            names(held) == ["only"]
        });
    }

    #[test]
    fn every_built_in_profile_is_sound_and_says_what_it_is_for() {
        for profile in PROFILES {
            let command = match profile.name {
                "npx" => "[\"npx\", \"-y\", \"server\"]",
                "uvx" => "[\"uvx\", \"server\"]",
                _ => "[\"true\"]",
            };
            let sandbox = read(command, &format!("[server.x.sandbox]\nprofile = \"{}\"\n", profile.name));
            let sandbox = sandbox.unwrap_or_else(|wrong| panic!("{}: {wrong}", profile.name));
            // Nothing of the machine's network, and no host that a server could not be without.
            assert!(!sandbox.host_network && sandbox.hosts.is_empty(), "{}", profile.name);
            assert!(!names(&sandbox).is_empty() && profile.about().len() > 40, "{}", profile.name);
            let with = sandbox.install.map(|install| install.with);
            assert_eq!(
                with,
                [("npx", Installer::Npm), ("uvx", Installer::Uv)]
                    .iter()
                    .find(|(name, _)| *name == profile.name)
                    .map(|(_, with)| *with)
            );
        }
        assert!(PROFILES.is_sorted_by_key(|profile| profile.name));
    }

    #[test]
    fn what_is_wrong_is_said_once_and_where_it_stands() {
        for (text, line, said) in [
            ("[server.x.sandbox]\nprofile = \"filesytem\"\n", 4, "did you mean `filesystem`"),
            ("[profile.a]\nprofile = \"auto\"\n[server.x.sandbox]\nprofile = \"a\"\n", 4, "depends on the command"),
            ("[server.x.sandbox]\nprofile = \"none\"\n", 4, "`level = \"none\"`"),
            ("[profile.none]\n[server.x.sandbox]\n", 3, "stands for the level that confines nothing"),
            ("[server.x.sandbox]\nprofile = \"npx\"\n", 4, "not `npx PACKAGE`"),
            ("[server.x.sandbox]\nprofile = 5\n", 4, "found an integer"),
            ("[server.x.sandbox]\nprofile = \"npx\"\nlevel = \"none\"\n", 4, "confines nothing"),
            ("[profile.git]\n[server.x.sandbox]\n", 3, "is a built-in profile"),
            ("[profile.auto]\n[server.x.sandbox]\n", 3, "stands for the profile that fits"),
            ("[profile.A_B]\n[server.x.sandbox]\n", 3, "no name for a profile"),
            (
                "[profile.a]\nprofile = \"b\"\n[profile.b]\nprofile = \"a\"\n[server.x.sandbox]\n",
                4,
                "would begin with itself",
            ),
            ("[profile.a]\nfs.rox = []\n[server.x.sandbox]\nprofile = \"a\"\n", 4, "unknown key `rox`"),
            ("[profile.a]\nfs.ro = [\"../x\"]\n[server.x.sandbox]\nprofile = \"a\"\n", 4, "without `..`"),
            ("[profile.a]\nfs.ro = [\"../x\"]\n[server.x.sandbox]\n", 4, "without `..`"),
            ("[server.x.sandbox]\nvariables = { \"A=B\" = \"x\" }\n", 4, "cannot be an environment variable"),
            ("[server.x.sandbox]\ninstall = { with = \"cargo\" }\n", 4, "unknown value `cargo`"),
            (
                "[server.x.sandbox]\ninstall = { with = \"npm\", registry = \"https://a:hunter2@b.example/\" }\n",
                4,
                "without a user or a password",
            ),
            ("[server.x.sandbox]\nfs.files = { \"x\" = \"\" }\n", 4, "no path of a file"),
            ("[server.x.sandbox]\nfs.files = { \"/a/../x\" = \"\" }\n", 4, "no path of a file"),
            ("[server.x.sandbox]\nfs.files = { \"/x\" = 1 }\n", 4, "found an integer"),
            ("[server.x.sandbox]\nfs.files = { \"/a//x\" = \"\" }\n", 4, "no path of a file"),
            ("[server.x.sandbox]\nfs.files = { \"/proc/self/root/x\" = \"\" }\n", 4, "no path of a file"),
        ] {
            let wrong = read("[\"true\"]", text).unwrap_err();
            assert!(wrong.contains(said) && wrong.contains(&format!("test.toml:{line}:")), "{text}: {wrong}");
            let times = wrong.matches(said).count();
            assert!(times == 1 || said.contains("itself"), "{text}: {wrong}");
        }
    }

    #[test]
    fn what_a_runner_fetches_is_installed_first() {
        // What is fetched is installed first under any built-in profile, and where somebody said otherwise it is not.
        for (command, text, with) in [
            ("[\"uvx\", \"server\"]", "[server.x.sandbox]\nprofile = \"git\"\n", Some(Installer::Uv)),
            ("[\"npx\", \"server\"]", "[server.x.sandbox]\nprofile = \"browser\"\n", Some(Installer::Npm)),
            (
                "[\"npx\", \"server\"]",
                "[server.x.sandbox]\nprofile = \"a\"\n[profile.a]\nprofile = \"b\"\n[profile.b]\nprofile = \"git\"\n",
                Some(Installer::Npm),
            ),
            ("[\"npx\", \"server\"]", "[server.x.sandbox]\nprofile = \"a\"\n[profile.a]\nfs.ro = [\"/srv\"]\n", None),
            ("[\"npx\", \"server\"]", "[server.x.sandbox]\nprofile = \"fetch\"\nnet.host = true\n", None),
            ("[\"npx\", \"server\"]", "[server.x.sandbox]\n", None),
            ("[\"node\", \"server\"]", "[server.x.sandbox]\nprofile = \"git\"\n", None),
        ] {
            let held = read(command, text).unwrap();
            assert_eq!(held.install.as_ref().map(|install| install.with), with, "{command} {text}");
        }
        let more = "[server.x.sandbox]\nprofile = \"git\"\ninstall.net.allow = [\"npm.example.com:443\"]\n";
        let more = read("[\"npx\", \"server\"]", more).unwrap().install.unwrap();
        assert_eq!((more.with, more.hosts.len()), (Installer::Npm, 2));
        // A registry that is not named is not reached, and installing would fail.
        for (allow, warned) in [
            ("", true),
            ("\"other.example.com:443\"", true),
            ("\"npm.example.com:443\"", false),
            ("\"*.example.com:443\"", false),
        ] {
            let text = format!(
                "[server.x]\ncommand = [\"npx\", \"server\"]\n[server.x.sandbox]\nprofile = \"npx\"\n\
                 install = {{ registry = \"https://npm.example.com/x/\", net = {{ allow = [{allow}] }} }}\n"
            );
            let (_, warnings) =
                Config::parse(&text, "test.toml", &Environment::of_process(Path::new("/base"))).unwrap();
            let said = warnings.iter().any(|one| one.message.contains("does not reach the registry"));
            assert_eq!(said, warned, "{allow}: {warnings:?}");
        }
        let own = "[server.x.sandbox]\nprofile = \"git\"\ninstall = { with = \"npm\", scripts = true }\n";
        let own = read("[\"npx\", \"server\"]", own).unwrap().install.unwrap();
        assert!(own.scripts && own.hosts.is_empty(), "what a table says counts as it stands");
    }

    #[test]
    fn a_server_without_a_table_gets_the_default() {
        let sandbox = |command: &str, default: &str, more: &str| {
            read(command, &format!("{more}[sandbox]\ndefault = \"{default}\"\n"))
        };
        for (command, default, profile, arguments) in [
            ("[\"true\"]", "auto", "filesystem", Arguments::Rw),
            ("[\"/usr/bin/npx\", \"-y\", \"server\", \"/srv\"]", "auto", "npx", Arguments::Rw),
            ("[\"uvx\", \"server\"]", "auto", "uvx", Arguments::Rw),
            ("[\"npx\", \"-y\", \"server\"]", "fetch", "fetch", Arguments::Unseen),
        ] {
            let held = sandbox(command, default, "").unwrap();
            assert_eq!((held.profile.as_deref(), held.arguments), (Some(profile), arguments), "{command}");
        }
        let nothing_said = read("[\"uvx\", \"server\"]", "").unwrap();
        assert_eq!((nothing_said.profile.as_deref(), nothing_said.arguments), (Some("uvx"), Arguments::Rw));
        let none = sandbox("[\"npx\", \"-y\", \"server\"]", "none", "").unwrap();
        assert_eq!((none.profile, none.level), (None, crate::SandboxLevel::None));
        let own = sandbox("[\"true\"]", "mine", "[profile.mine]\nlimits.pids = 7\n").unwrap();
        assert_eq!((own.pids, own.profile.as_deref()), (7, Some("mine")));
        // A table of its own is all that counts for a server.
        let table = sandbox("[\"true\"]", "auto", "[server.x.sandbox]\nlimits.pids = 9\n").unwrap();
        assert_eq!((table.profile, table.pids, table.arguments), (None, 9, Arguments::Unseen));
        // Which may begin with what it would be without one.
        let reported = read("[\"true\"]", "[server.x.sandbox]\nprofile = \"filesystem\"\n").unwrap().report;
        let quiet = "[server.x.sandbox]\nprofile = \"auto\"\nnet.report = false\n";
        assert_eq!((nothing_said.report, reported, read("[\"true\"]", quiet).unwrap().report), (true, false, false));
        for (table, arguments, pids) in [
            ("limits.pids = 9\n", Arguments::Rw, 9),
            ("fs.ro = [\"/srv\"]\n", Arguments::Rw, 256),
            ("fs.arguments = \"ro\"\n", Arguments::Ro, 256),
        ] {
            let text = format!("[server.x.sandbox]\nprofile = \"auto\"\n{table}");
            for default in ["auto", "none", "fetch"] {
                let held = sandbox("[\"npx\", \"-y\", \"server\"]", default, &text).unwrap();
                let found = (held.profile.as_deref(), held.arguments, held.pids);
                assert_eq!(found, (Some("npx"), arguments, pids), "{text}");
            }
        }
        // Whoever asks a daemon gains nothing by a sandbox, and is told so.
        for (command, level, warned) in [
            ("docker", "process", true),
            ("/usr/bin/podman", "process", true),
            ("dockerize", "process", false),
            ("docker", "none", false),
        ] {
            let text =
                format!("[server.x]\ncommand = [\"{command}\", \"run\"]\n[server.x.sandbox]\nlevel = \"{level}\"\n");
            let (_, warnings) =
                Config::parse(&text, "test.toml", &Environment::of_process(Path::new("/base"))).unwrap();
            assert_eq!(warnings.iter().any(|one| one.message.contains("outside of any sandbox")), warned, "{text}");
        }
        // What is wrong with it for one server is said where its command is, and what is wrong with itself once.
        let more = "[server.y]\ncommand = [\"npx\", \"--unheard-of\"]\n[server.z]\nurl = \"http://127.0.0.1:1/mcp\"\n";
        let wrong = sandbox("[\"true\"]", "auto", more).unwrap_err();
        assert!(
            wrong.contains("test.toml:4:11") && !wrong.contains("test.toml:2:") && !wrong.contains(":8:"),
            "{wrong}"
        );
        let wrong = sandbox("[\"true\"]", "filesytem", "[server.y]\ncommand = [\"true\"]\n").unwrap_err();
        assert!(wrong.contains("test.toml:6:11") && wrong.contains("did you mean `filesystem`"), "{wrong}");
        assert_eq!(wrong.matches("there is no profile").count(), 1, "{wrong}");
        assert!(read("[\"true\"]", "[sandbox]\ndefault = 5\n").unwrap_err().contains("found an integer"));
        assert!(read("[\"true\"]", "[sandbox]\ndefaults = \"auto\"\n").unwrap_err().contains("unknown key `defaults`"));
    }
}
