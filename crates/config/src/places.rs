//! The tables `[[guard.NAME.where]]`: what is done about findings in single places.

use bartizan_guard::{Action, Direction, How, Where};
use bartizan_mcp::{JsonPath, PartKind};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::de::DeValue;

use crate::guards::{self, Reader};
use crate::problems::Problems;
use crate::read::read;
use crate::suggest;
use crate::tree::{self, Node};

/// What is done about findings in some places, by all that is said of them; of several the first that fits counts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhereTable {
    /// Only of this rule; with a `*` at the end, of all that begin so.
    rule: Option<String>,
    /// Only this way.
    direction: Option<Direction>,
    /// Only in parts of this kind.
    #[serde(default)]
    #[schemars(schema_with = "part_schema")]
    part: Option<String>,
    /// Only at this server; with a `*` at the end, at all whose names begin so.
    server: Option<String>,
    /// Only of this tool; with a `*` at the end, of all whose names begin so.
    tool: Option<String>,
    /// Only in what this path addresses, such as `$.rows[*].note`: in the arguments of a call, in structured content, and
    /// in content that is JSON.
    path: Option<String>,
    /// What is done.
    action: Action,
    /// How it is redacted, unless as `how` of the guard says.
    how: Option<How>,
}

fn part_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"enum": PartKind::ALL.map(PartKind::as_str)})
}

impl Reader<'_> {
    /// The settings for single places.
    pub(crate) fn places(&self, node: &Node<'_>, path: &[&str], problems: &mut Problems) -> Vec<Where> {
        let DeValue::Array(tables) = node.get_ref() else {
            let help = format!("write [[guard.{}.where]]", self.spec.name);
            problems.error(node.span(), "expected a list of tables").help(help);
            return Vec::new();
        };
        let tables = tables.iter().enumerate();
        tables.filter_map(|(at, table)| self.place((table, &[path, &[&at.to_string()]].concat()), problems)).collect()
    }

    fn place(&self, (node, path): (&Node<'_>, &[&str]), problems: &mut Problems) -> Option<Where> {
        let table: WhereTable = read(node, path, problems)?;
        let at = |key: &str| tree::place(node, &[key]);
        let rule = table.rule.map(|rule| self.rule_or_several(&rule, at("rule"), problems));
        let part = table.part.map(|name| {
            let part = PartKind::ALL.into_iter().find(|kind| kind.as_str() == name);
            if part.is_none() {
                let help = suggest::help(&name, PartKind::ALL.map(PartKind::as_str));
                problems.error(at("part"), format!("there is no kind of part `{name}`")).help(help);
            }
            part
        });
        let path = table.path.map(|path| match JsonPath::parse(&path) {
            Ok(path) => Some(path),
            Err(error) => {
                problems.error(at("path"), error.to_string()).help("a path is such as `$.rows[*].name`");
                None
            }
        });
        if let Some(server) = &table.server {
            guards::known_servers(server, at("server"), self.root, problems);
        }
        if let Some(action) = tree::get(node, &["action"]) {
            self.supported(table.action, action, problems)?;
        }
        let (server, tool) = (table.server, table.tool);
        // What is wrong is no setting for everything.
        let (rule, part, path) = (given(rule)?, given(part)?, given(path)?);
        Some(Where { rule, direction: table.direction, part, server, tool, path, action: table.action, how: table.how })
    }

    /// The id of a rule, or with a `*` at the end the beginning of several; with or without the guard's name in front.
    fn rule_or_several(&self, name: &str, place: tree::Place, problems: &mut Problems) -> Option<String> {
        let full = format!("{}.{name}", self.spec.name);
        let own = self.own_rules();
        if let Some(start) = name.strip_suffix('*') {
            let ids =
                || self.spec.rules.iter().map(|rule| rule.id).chain(own.into_iter().flatten().map(String::as_str));
            let pattern = [name, &full]
                .into_iter()
                .find(|pattern| ids().any(|id| id.starts_with(pattern.strip_suffix('*').unwrap_or_default())));
            if pattern.is_none() {
                let why = format!("guard `{}` has no rule that begins with `{start}`", self.spec.name);
                problems.error(place, why);
            }
            return pattern.map(str::to_owned);
        }
        let found = [name, &full].into_iter().find_map(|id| Some((id, self.spec.rule(id)?)));
        match found.filter(|(id, rule)| guards::is_there(rule, id, own)) {
            Some((_, rule)) if rule.fixed => {
                let why = format!("the rule `{}` always {} and cannot be set", rule.id, guards::always(rule));
                problems.error(place, why);
                None
            }
            Some((id, _)) => Some(id.to_owned()),
            None => {
                let known = self.spec.rules.iter().map(|rule| rule.id);
                let near = suggest::nearest(name, known.clone()).or_else(|| suggest::nearest(&full, known));
                let help = near.map_or(format!("`bartizan guards {}` lists them", self.spec.name), |near| {
                    format!("did you mean `{near}`?")
                });
                problems.error(place, format!("guard `{}` has no rule `{name}`", self.spec.name)).help(help);
                None
            }
        }
    }
}

/// Nothing if what was given is wrong.
fn given<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(None) => None,
        Some(right) => Some(right),
        None => Some(None),
    }
}
