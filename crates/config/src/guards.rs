//! The tables `[guard.NAME]`: what every guard has, and what is the guard's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bartizan_guard::guards::{minimise, personal_data, prompt_injection, rate, secrets};
use bartizan_guard::{Action, GuardSettings, GuardSpec, How, RuleSpec, ServerSettings, Settings, guards};
use bartizan_mcp::PartKind;
use schemars::JsonSchema;
use serde::Deserialize as _;
use toml::de::DeValue;

use crate::diagnostic::Diagnostic;
use crate::idle;
use crate::paths;
use crate::places::WhereTable;
use crate::problems::Problems;
use crate::read::read;
use crate::suggest;
use crate::tree::{self, Node};

/// What every guard has besides its own options; for the published schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its fields are read one by one, so that each problem has a place; this is their schema")]
pub(crate) struct Common {
    /// Whether the guard runs.
    enabled: bool,
    /// The action for all its rules.
    action: Action,
    /// How it redacts.
    how: How,
    /// Actions by rule, such as `{ "hidden_text.bidi" = "deny" }`.
    rules: BTreeMap<String, Action>,
    /// Settings for single servers.
    servers: BTreeMap<String, ServerSettings>,
    /// Settings for single places, which go before all others; of these the first that fits.
    r#where: Vec<WhereTable>,
}

const COMMON: [&str; 6] = ["enabled", "action", "how", "rules", "servers", "where"];

/// Short for the three kinds of part in which a tool's result comes.
pub(crate) const TOOL_RESULT: &str = "tool_result";
const RESULT_KINDS: [PartKind; 3] = [PartKind::Content, PartKind::StructuredContent, PartKind::Error];

/// The settings of all guards that the file names.
pub(crate) fn settings(root: &Node<'_>, directory: &Path, problems: &mut Problems) -> BTreeMap<String, GuardSettings> {
    let mut settings = BTreeMap::new();
    let Some(node) = tree::get(root, &["guard"]) else { return settings };
    let DeValue::Table(tables) = node.get_ref() else {
        problems.error(node.span(), "expected a table").help("write [guard.NAME]");
        return settings;
    };
    for (key, table) in tables {
        let name = key.get_ref().as_ref();
        match guards::ALL.iter().find(|spec| spec.name == name) {
            Some(spec) => {
                let reader = Reader { spec, root, extra: Extra::of(spec, table, directory, problems) };
                if let Some(held) = reader.guard(table, problems) {
                    settings.insert(name.to_owned(), held);
                }
            }
            None => {
                let help = suggest::help(name, guards::ALL.iter().map(|spec| spec.name));
                problems.error(key.span(), format!("there is no guard `{name}`")).help(help);
            }
        }
    }
    idle::check(root, &settings, problems);
    settings
}

/// The names of the guard's own options.
pub(crate) fn option_names(spec: &GuardSpec) -> Vec<String> {
    let schema = (spec.options)().to_value();
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

/// A guard that finds more than one rule says: by a file of the operator's, or by formats that settings may name one by one.
struct Own {
    guard: &'static str,
    /// The option that names the file.
    option: &'static str,
    /// What settings call what it finds, with what the file holds.
    names: fn(Option<&str>) -> Result<Vec<String>, prompt_injection::RulesProblem>,
}

const OWN: [Own; 3] = [
    Own {
        guard: prompt_injection::SPEC.name,
        option: "rules_file",
        names: |text| text.map_or(Ok(Vec::new()), prompt_injection::own_rules),
    },
    Own { guard: secrets::SPEC.name, option: "formats_file", names: secrets::own_formats },
    Own { guard: personal_data::SPEC.name, option: "recognisers_file", names: personal_data::own_recognisers },
];

fn own(spec: &GuardSpec) -> Option<&'static Own> {
    OWN.iter().find(|own| own.guard == spec.name)
}

/// Larger files hold no rules.
const MAX_RULES_BYTES: u64 = 256 << 10;
/// So many rules are named where one is not there.
const FEW: usize = 20;

pub(crate) struct Reader<'a> {
    pub(crate) spec: &'static GuardSpec,
    pub(crate) root: &'a Node<'a>,
    extra: Extra,
}

/// Rules that the operator wrote, from the file that an option of a guard names.
#[derive(Default)]
pub(crate) struct Extra {
    /// The content of the file, which is what the guard gets: it reads no files.
    text: Option<String>,
    /// What settings call its rules; none if it names a file, and that cannot be read.
    names: Option<Vec<String>>,
}

impl Extra {
    fn of(spec: &GuardSpec, table: &Node<'_>, directory: &Path, problems: &mut Problems) -> Extra {
        let Some(own) = own(spec) else { return Extra { text: None, names: Some(Vec::new()) } };
        let path = &["guard", spec.name, own.option];
        let Some(node) = tree::get(table, &[own.option]) else {
            return Extra { text: None, names: (own.names)(None).ok() };
        };
        let Some(path) = read::<PathBuf>(node, path, problems) else { return Extra::default() };
        let path = paths::beside(directory, &path);
        let text = match paths::text(&path, MAX_RULES_BYTES) {
            Ok(text) => text,
            Err(why) => {
                problems.error(node.span(), format!("cannot read the rules in {}: {why}", path.display()));
                return Extra::default();
            }
        };
        match (own.names)(Some(&text)) {
            Ok(names) => Extra { text: Some(text), names: Some(names) },
            Err(wrong) => {
                let name = path.display().to_string();
                problems
                    .in_file(Diagnostic::in_line(&name, (wrong.line, wrong.column), wrong.what).with_help(wrong.help));
                Extra::default()
            }
        }
    }
}

/// What a rule does that cannot be set.
pub(crate) fn always(rule: &RuleSpec) -> &'static str {
    if rule.default == Action::Approve { "asks" } else { "denies" }
}

impl Reader<'_> {
    fn guard(&self, node: &Node<'_>, problems: &mut Problems) -> Option<GuardSettings> {
        let DeValue::Table(table) = node.get_ref() else {
            problems.error(node.span(), "expected a table").help(format!("write [guard.{}]", self.spec.name));
            return None;
        };
        let own = option_names(self.spec);
        let mut settings = GuardSettings::default();
        let mut options = serde_json::Map::new();
        let mut result = None;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = ["guard", self.spec.name, name];
            match name {
                "enabled" => {
                    settings.enabled = read(value, &path, problems).unwrap_or(true);
                    if !settings.enabled && self.spec.is_fixed() {
                        problems.error(value.span(), format!("the guard `{}` cannot be switched off", self.spec.name));
                    }
                }
                "action" => settings.action = self.action(value, &path, problems),
                "how" => settings.how = read(value, &path, problems).unwrap_or_default(),
                "rules" => settings.rules = self.rules(value, &path, problems),
                "servers" => settings.servers = self.servers(value, &path, problems),
                "where" => settings.places = self.places(value, &path, problems),
                TOOL_RESULT => result = self.action(value, &path, problems),
                _ if own.iter().any(|option| option == name) => {
                    let rules = || self.extra.text.clone().map(serde_json::Value::from);
                    let is_file = self::own(self.spec).is_some_and(|own| own.option == name);
                    let held = if is_file { rules() } else { Some(tree::to_json(value)) };
                    options.extend(held.map(|held| (name.to_owned(), held)));
                }
                _ => match PartKind::ALL.into_iter().find(|kind| kind.as_str() == name) {
                    Some(kind) => {
                        settings.parts.extend(self.action(value, &path, problems).map(|action| (kind, action)));
                    }
                    None => self.unknown(name, key.span(), &own, problems),
                },
            }
        }
        for kind in RESULT_KINDS {
            if let Some(action) = result {
                settings.parts.entry(kind).or_insert(action);
            }
        }
        settings.options = serde_json::Value::Object(options);
        self.options(&settings.options, problems);
        let named = match self.spec.name {
            name if name == minimise::SPEC.name => Some(("tool", minimise::servers(&settings.options))),
            _ => None,
        };
        if self.spec.name == personal_data::SPEC.name {
            self.servers_of_pseudonyms(&settings.options, problems);
        }
        if let Some((table, servers)) = named {
            for (at, server) in servers.iter().enumerate() {
                let place = tree::place(self.root, &["guard", self.spec.name, table, &at.to_string(), "server"]);
                known_servers(server, place, self.root, problems);
            }
        }
        Some(settings)
    }

    /// Who is misspelt here would be entitled to nothing, or keep names apart from nobody.
    fn servers_of_pseudonyms(&self, options: &serde_json::Value, problems: &mut Problems) {
        for (path, server) in personal_data::servers(options) {
            let path = path.iter().map(String::as_str);
            let path: Vec<&str> = ["guard", self.spec.name].into_iter().chain(path).collect();
            needed_server(&server, tree::place(self.root, &path), self.root, problems);
        }
    }

    fn unknown(&self, name: &str, place: tree::Place, own: &[String], problems: &mut Problems) {
        let kinds = PartKind::ALL.iter().map(|kind| kind.as_str());
        let known = COMMON.iter().copied().chain(own.iter().map(String::as_str)).chain([TOOL_RESULT]).chain(kinds);
        let help = suggest::help(name, known);
        problems.error(place, format!("guard `{}` has no setting `{name}`", self.spec.name)).help(help);
    }

    fn action(&self, node: &Node<'_>, path: &[&str], problems: &mut Problems) -> Option<Action> {
        let action = read(node, path, problems)?;
        self.supported(action, node, problems)
    }

    /// What settings call the rules that the operator wrote, as far as they are known.
    pub(crate) fn own_rules(&self) -> Option<&[String]> {
        self.extra.names.as_deref()
    }

    pub(crate) fn supported(&self, action: Action, node: &Node<'_>, problems: &mut Problems) -> Option<Action> {
        if self.spec.actions.contains(&action) {
            return Some(action);
        }
        let message = format!("guard `{}` cannot `{}`", self.spec.name, action.as_str());
        let possible = suggest::list(self.spec.actions.iter().map(|action| action.as_str()));
        problems.error(node.span(), message).help(format!("possible are {possible}"));
        None
    }

    /// Actions by rule; a rule may be named with or without the guard's name in front.
    fn rules(&self, node: &Node<'_>, path: &[&str], problems: &mut Problems) -> BTreeMap<String, Action> {
        let mut rules = BTreeMap::new();
        let DeValue::Table(table) = node.get_ref() else {
            problems.error(node.span(), "expected a table of rules and actions");
            return rules;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if name == self.spec.name && matches!(value.get_ref(), DeValue::Table(_)) {
                problems
                    .error(key.span(), "a rule's name has a dot, so it stands in quotes")
                    .help("\"guard.rule\" = \"deny\"");
                continue;
            }
            let path: Vec<&str> = path.iter().copied().chain([name]).collect();
            let full = format!("{}.{name}", self.spec.name);
            let own = self.extra.names.as_deref();
            let (id, rule) = match self.spec.rule(name) {
                Some(rule) => (name, Some(rule)),
                None => (&*full, self.spec.rule(&full)),
            };
            match rule.filter(|rule| is_there(rule, id, own)) {
                None => {
                    let own = own.unwrap_or_default().iter().map(String::as_str);
                    let known = self.spec.rules.iter().map(|rule| rule.id).chain(own);
                    // Of many nobody reads the list.
                    let near = suggest::nearest(name, known.clone()).or_else(|| suggest::nearest(&full, known.clone()));
                    let help = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if known.clone().count() > FEW => {
                            format!("`bartizan guards {}` lists them", self.spec.name)
                        }
                        None => suggest::help(name, known),
                    };
                    problems.error(key.span(), format!("guard `{}` has no rule `{name}`", self.spec.name)).help(help);
                }
                Some(rule) if rule.fixed => {
                    problems
                        .error(key.span(), format!("the rule `{}` always {} and cannot be set", rule.id, always(rule)));
                }
                Some(_) => rules.extend(self.action(value, &path, problems).map(|action| (id.to_owned(), action))),
            }
        }
        rules
    }

    fn servers(&self, node: &Node<'_>, path: &[&str], problems: &mut Problems) -> BTreeMap<String, ServerSettings> {
        let mut servers = BTreeMap::new();
        let DeValue::Table(table) = node.get_ref() else {
            problems.error(node.span(), "expected a table by server");
            return servers;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            known_server(name, key.span(), self.root, problems);
            let path: Vec<&str> = path.iter().copied().chain([name]).collect();
            servers.extend(self.server(value, &path, problems).map(|held| (name.to_owned(), held)));
        }
        servers
    }

    fn server(&self, node: &Node<'_>, path: &[&str], problems: &mut Problems) -> Option<ServerSettings> {
        // Read as a whole for types and unknown keys; its actions once more, one by one, for what the guard can do.
        let mut held: ServerSettings = read(node, path, problems)?;
        if let Some(action) = tree::get(node, &["action"]).zip(held.action) {
            self.supported(action.1, action.0, problems);
        }
        for (tool, action) in &held.tools {
            if let Some(place) = tree::get(node, &["tools", tool]) {
                self.supported(*action, place, problems);
            }
        }
        if let Some(rules) = tree::get(node, &["rules"]) {
            let path: Vec<&str> = path.iter().copied().chain(["rules"]).collect();
            // What is no action has been reported above already.
            if !problems.is_broken(&path) {
                held.rules = self.rules(rules, &path, problems);
            }
        }
        Some(held)
    }

    /// Lets the guard look at its options, and finds out which one it does not like.
    fn options(&self, options: &serde_json::Value, problems: &mut Problems) {
        let Err(error) = (self.spec.build)(options, &Settings::default()) else { return };
        let mut path = vec!["guard", self.spec.name];
        let whole = options.as_object().into_iter().flatten();
        let blamed: Vec<_> = whole
            .filter_map(|(key, value)| {
                let alone = serde_json::json!({ key.as_str(): value });
                Some((key, (self.spec.build)(&alone, &Settings::default()).err()?))
            })
            .collect();
        for (key, error) in &blamed {
            path.truncate(2);
            path.push(key);
            let elements = self.blamed_elements(key, options);
            let whole = (tree::place(self.root, &path), error);
            let places = elements.iter().map(|(at, blamed, error)| {
                let element = [path.as_slice(), &[at.as_str()]].concat();
                // Of a table in a list the place is its header.
                let key =
                    blamed.as_deref().map(|key| tree::key_place(self.root, &[element.as_slice(), &[key]].concat()));
                (key.unwrap_or_else(|| tree::place(self.root, &element)), error)
            });
            let places = if elements.is_empty() { vec![whole] } else { places.collect() };
            for (place, error) in places {
                let (message, help) = suggest::rewrite(&error.to_string(), &[]);
                problems.error(place, message).help = help;
            }
        }
        if blamed.is_empty() {
            let (message, help) = suggest::rewrite(&error.to_string(), &[]);
            problems.error(tree::key_place(self.root, &path), format!("guard `{}`: {message}", self.spec.name)).help =
                help;
        }
    }
}

impl Reader<'_> {
    /// Of an option that is a list, the elements that the guard does not like, each by its number, with the key in it if it is one, and what is
    /// wrong with it.
    fn blamed_elements(
        &self,
        key: &str,
        options: &serde_json::Value,
    ) -> Vec<(String, Option<String>, serde_json::Error)> {
        let wrong = |element: &serde_json::Value| {
            let alone = serde_json::json!({ key: [element] });
            (self.spec.build)(&alone, &Settings::default()).err()
        };
        // Without it nothing is wrong, or it is missing.
        let is_blamed = |element: &serde_json::Map<String, serde_json::Value>, name: &String| {
            let mut others = element.clone();
            others.remove(name);
            wrong(&others.into()).is_none_or(|error| error.to_string().contains(&format!("missing field `{name}`")))
        };
        let elements = options.get(key).and_then(serde_json::Value::as_array).into_iter().flatten().enumerate();
        let blamed = elements.filter_map(|(at, element)| {
            let error = wrong(element)?;
            let mut keys =
                element.as_object().into_iter().flat_map(|table| table.keys().map(move |name| (table, name)));
            let blamed = keys.find(|(table, name)| is_blamed(table, name)).map(|(_, name)| name.clone());
            Some((at.to_string(), blamed, error))
        });
        blamed.collect()
    }
}

/// Whether there is a rule of that id: of those that the operator wrote, whose names are these as far as they are known.
pub(crate) fn is_there(rule: &RuleSpec, id: &str, own: Option<&[String]>) -> bool {
    rule.id == id || own.is_none_or(|own| own.iter().any(|own| own == id))
}

/// What settings call the rules that the operator wrote, and single formats; none if a file with them cannot be read.
pub(crate) fn own_rules(root: &Node<'_>, settings: &BTreeMap<String, GuardSettings>) -> Option<Vec<String>> {
    let of = |own: &Own| {
        let text = settings.get(own.guard).and_then(|held| held.options.get(own.option)?.as_str());
        let is_missing = text.is_none() && tree::get(root, &["guard", own.guard, own.option]).is_some();
        (own.names)(text).ok().filter(|_| !is_missing)
    };
    let all: Option<Vec<Vec<String>>> = OWN.iter().map(of).collect();
    all.map(|all| all.concat())
}

/// Warns of a server that the file does not have, or with a `*` at the end of servers: a setting for it does nothing.
pub(crate) fn known_servers(pattern: &str, place: tree::Place, root: &Node<'_>, problems: &mut Problems) {
    let Some(start) = pattern.strip_suffix('*') else { return known_server(pattern, place, root, problems) };
    let Some(DeValue::Table(servers)) = tree::get(root, &["server"]).map(|node| node.get_ref()) else { return };
    if !servers.keys().any(|key| key.get_ref().starts_with(start)) {
        problems.warn(place, format!("this file has no server whose name begins with `{start}`"));
    }
}

/// Warns of a server that the file does not have: a setting for it does nothing.
pub(crate) fn known_server(name: &str, place: tree::Place, root: &Node<'_>, problems: &mut Problems) {
    if let Some(help) = missing_server(name, root) {
        problems.warn(place, format!("this file has no server `{name}`")).help(help);
    }
}

/// The same where a setting that does nothing would do harm.
fn needed_server(name: &str, place: tree::Place, root: &Node<'_>, problems: &mut Problems) {
    if let Some(help) = missing_server(name, root) {
        problems.error(place, format!("this file has no server `{name}`")).help(help);
    }
}

/// What else may be meant, if the file has servers and none of that name.
fn missing_server(name: &str, root: &Node<'_>) -> Option<String> {
    let DeValue::Table(servers) = tree::get(root, &["server"])?.get_ref() else { return None };
    let names = servers.keys().map(|key| key.get_ref().as_ref());
    (!servers.contains_key(name)).then(|| suggest::help(name, names))
}
/// How much may be asked. Whatever is wrong with the options has been reported where they were read.
pub(crate) fn rate_options(settings: &Settings) -> rate::Options {
    let read = settings.guards.get("rate").map(|held| rate::Options::deserialize(&held.options));
    read.and_then(Result::ok).unwrap_or_default()
}
