//! What of the policies has no effect, and where it stands.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_guard::fits;
use bartizan_guard::guards::{flow, minimise, personal_data};
use bartizan_policy::{Known, Problem, Ways};

use crate::config::Config;
use crate::diagnostic::{self, Diagnostic, Severity, Source};
use crate::oauth::Claims;
use crate::tree::{self, Node};

/// The tools of each server of which they are known.
pub type Tools = BTreeMap<String, BTreeSet<String>>;

/// Where the file says what policies are about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// All servers, also those that are switched off.
    servers: BTreeSet<String>,
    /// What is in the lists of roles, by what the policies are called that they stand for.
    grants: BTreeMap<String, Diagnostic>,
    /// What of the policies has no effect, as far as the file says.
    found: Vec<Diagnostic>,
}

impl Written {
    fn of(root: &Node<'_>, source: &Source<'_>) -> Written {
        let mut grants = BTreeMap::new();
        for role in tree::keys(root, &["role"]) {
            for list in ["allow", "deny", "approve"] {
                for index in 0.. {
                    let number = index.to_string();
                    let Some(node) = tree::get(root, &["role", &role, list, &number]) else { break };
                    let Some(words) = node.get_ref().as_str() else { continue };
                    let (severity, message) = (Severity::Warning, String::new());
                    let problem = diagnostic::Problem { severity, place: node.span(), message, help: None };
                    grants.entry(format!("role.{role}.{list} {words}")).or_insert_with(|| source.show(problem));
                }
            }
        }
        Written { servers: tree::keys(root, &["server"]).into_iter().collect(), grants, found: Vec::new() }
    }

    /// A warning where it stands: in the file, or in one with policies.
    fn diagnostic(&self, problem: Problem) -> Diagnostic {
        let Problem { source, line, column, message, help } = problem;
        let id = message.strip_prefix('`').and_then(|rest| Some(rest.split_once('`')?.0));
        let grant = id.filter(|_| line == 0).and_then(|id| self.grants.get(id)).cloned();
        let mut found = grant.unwrap_or_else(|| Diagnostic::of_file(&source, ""));
        if found.line == 0 {
            (found.line, found.column) = (line, column);
        }
        (found.severity, found.message, found.help) = (Severity::Warning, message, help);
        found
    }
}

impl Config {
    pub(crate) fn written_in(mut self, root: &Node<'_>, source: &Source<'_>) -> Config {
        self.written = Written::of(root, source);
        self.written.found = self.found(&Tools::new());
        self
    }

    /// What there is for policies to be about. Which roles keys bring is not known here.
    #[must_use]
    pub fn known(&self, tools: &Tools) -> Known {
        let mut servers: BTreeMap<_, _> = self.written.servers.iter().map(|name| (name.clone(), None)).collect();
        servers.extend(tools.iter().map(|(server, tools)| (server.clone(), Some(tools.clone()))));
        // What tokens of an issuer bring, only the issuer knows.
        let claimed = |claim: fn(&Claims) -> bool| self.auth.issuers.iter().any(|issuer| claim(&issuer.claims));
        Known {
            servers,
            // A file without servers is one for `run`, where the client's command line names them.
            others: self.written.servers.is_empty(),
            roles: None,
            groups: (!claimed(|claims| claims.groups.is_some())).then(BTreeSet::new),
            tenants: claimed(|claims| claims.tenant.is_some()),
            ways: Ways { pages: self.sign_in.is_some(), tokens: !self.auth.issuers.is_empty() },
        }
    }

    /// What of the policies has no effect, as far as the file says; but for challenges that nobody can meet, of which it is said
    /// where they are read.
    pub(crate) fn without_effect(&self) -> &[Diagnostic] {
        &self.written.found
    }

    /// What of them has none as a server has no such tool, beyond what is said when the file is read.
    #[must_use]
    pub fn without_tools(&self, tools: &Tools) -> Vec<Diagnostic> {
        let mut found = self.found(tools);
        found.retain(|warning| !self.without_effect().contains(warning));
        found.extend(self.entitled_to_nothing(tools));
        found.extend(self.about_no_tool(tools));
        found
    }

    /// Tables for tools that no server has of which all are known.
    fn about_no_tool(&self, tools: &Tools) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (guard, named) in [(flow::SPEC.name, flow::named as fn(&_) -> _), (minimise::SPEC.name, minimise::named)] {
            let Some(settings) = self.settings.guards.get(guard) else { continue };
            let named: Vec<(String, String)> = named(&settings.options);
            for (server, pattern) in named {
                let mut known = tools.iter().filter(|(name, _)| fits(&server, name)).peekable();
                let is_known = known.peek().is_some()
                    && (!server.ends_with('*') || self.written.servers.iter().all(|name| tools.contains_key(name)));
                if is_known && !known.any(|(_, tools)| tools.iter().any(|tool| fits(&pattern, tool))) {
                    let message = format!("[guard.{guard}]: `{server}` has no tool `{pattern}`");
                    let help = "the table does nothing as it is written; the lock file has the tools that there are";
                    found.push(self.in_lock(message).with_help(help));
                }
            }
        }
        found
    }

    /// A warning of what the lock file says.
    fn in_lock(&self, message: String) -> Diagnostic {
        let mut warning = Diagnostic::of_file(&self.lock.display().to_string(), message);
        warning.severity = Severity::Warning;
        warning
    }

    /// Tools that would get what pseudonyms stand for and that no server has, though other ones of it are known.
    fn entitled_to_nothing(&self, tools: &Tools) -> Vec<Diagnostic> {
        let Some(settings) = self.settings.guards.get(personal_data::SPEC.name) else { return Vec::new() };
        let named = personal_data::entitled(&settings.options).into_iter().filter(|(server, pattern)| {
            tools.get(server).is_some_and(|known| !known.iter().any(|tool| fits(pattern, tool)))
        });
        let warning = |(server, pattern): (String, String)| {
            let message = format!("[guard.{}]: `{server}` has no tool `{pattern}`", personal_data::SPEC.name);
            let help = "it would be entitled to what pseudonyms stand for; nobody is as it is written";
            self.in_lock(message).with_help(help)
        };
        named.map(warning).collect()
    }

    fn found(&self, tools: &Tools) -> Vec<Diagnostic> {
        let Some(policies) = &self.settings.policies else { return Vec::new() };
        let known = self.known(tools);
        let never: BTreeSet<_> = policies.never_met(known.ways).into_iter().map(|problem| problem.message).collect();
        let found = policies.warnings(&known).into_iter().filter(|problem| !never.contains(&problem.message));
        found.map(|problem| self.written.diagnostic(problem)).collect()
    }
}
