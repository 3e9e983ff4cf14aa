//! Rules that are as good as not there: what a person who wrote them will have meant otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{ActionConstraint, Effect, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;

use crate::names::{ACTION, GROUP, ROLE, SERVER, TENANT, TENANT_OF_ALL, TOOL, TOOL_GROUP, USER, uid};
use crate::near::meant;
use crate::problem::{Problem, Source};
use crate::rule::{Rule, offset};
use crate::{Grant, Kind, Otherwise, Role, Roles, Scope, Ways, place, schema, ways};

/// What there is for policies to be about, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Each server with its tools; none where it is not known which it has.
    pub servers: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Whether there may be other servers.
    pub others: bool,
    /// The roles that credentials bring; none where they may bring any.
    pub roles: Option<BTreeSet<String>>,
    /// The same for groups.
    pub groups: Option<BTreeSet<String>>,
    /// Whether credentials may say of which tenant somebody is.
    pub tenants: bool,
    /// By what people can meet challenges.
    pub ways: Ways,
}

/// The challenges that nobody can ever meet.
pub(crate) fn never_met(rules: &[Rule], roles: &Roles, ways: Ways, sources: &[Source<'_>]) -> Vec<Problem> {
    let of = |rule: &Rule| {
        let why = ways::never(rule, roles, ways)?;
        Some(Problem::at(sources.get(rule.source)?, offset(&rule.policy), why))
    };
    rules.iter().filter_map(of).collect()
}

/// Why nobody may do anything by these rules, if that is plain.
pub(crate) fn shuts_all(rules: &[Rule], otherwise: Otherwise) -> Option<String> {
    let is_bare = |rule: &&Rule| {
        let is_any = matches!(rule.principal, PrincipalConstraint::Any) && matches!(rule.action, ActionConstraint::Any);
        is_any && matches!(rule.resource, ResourceConstraint::Any) && Body::of(rule).conditions.is_empty()
    };
    if let Some(rule) = rules.iter().filter(|rule| forbids(rule)).find(is_bare) {
        return Some(format!("`{}` forbids everything to everybody", rule.reason.id));
    }
    let permits = rules.iter().any(|rule| rule.policy.effect() == Effect::Permit);
    let shuts = !permits && otherwise == Otherwise::Deny;
    shuts.then(|| "no policy permits anything, and what none permits is refused".to_owned())
}

/// The rule that forbids a tool to everybody, whatever a call says, if one does.
pub(crate) fn forbids_to_all<'r>(rules: &'r [Rule], server: &str, tool: &str) -> Option<&'r Rule> {
    let name = format!("{server}/{tool}");
    let call = ActionConstraint::Eq(uid(&ACTION, &name));
    let thing = ResourceConstraint::Eq(uid(&TOOL, &name));
    let covers = |rule: &&Rule| {
        let is_of_all = matches!(rule.principal, PrincipalConstraint::Any | PrincipalConstraint::Is(_));
        is_of_all && covers_action(&rule.action, &call) && covers_what(&rule.resource, &thing, &call)
    };
    rules.iter().filter(|rule| forbids(rule)).filter(covers).find(|rule| Body::of(rule).conditions.is_empty())
}

/// What of these rules has no effect, in their order.
pub(crate) fn warnings(
    rules: &[Rule],
    roles: &Roles,
    otherwise: Otherwise,
    known: &Known,
    sources: &[Source<'_>],
) -> Vec<Problem> {
    let bodies: Vec<_> = rules.iter().map(Body::of).collect();
    let all: Vec<_> = rules.iter().zip(&bodies).collect();
    let permits = |rule: &Rule| rule.policy.effect() == Effect::Permit;
    let open = ByAction::of(all.iter().filter(|(rule, body)| permits(rule) && body.conditions.is_empty()));
    let forbidding = ByAction::of(all.iter().filter(|(rule, _)| forbids(rule)));
    let mut first: HashMap<String, &Rule> = HashMap::new();
    let mut found = Vec::new();
    for (rule, body) in &all {
        let mut warn = |message: String| {
            let at = sources.get(rule.source).map(|source| Problem::at(source, offset(&rule.policy), message));
            found.extend(at);
        };
        let id = &rule.reason.id;
        match first.get(&body.text) {
            Some(other) => warn(format!("`{id}` says the same as `{}`", other.reason.id)),
            None => drop(first.insert(body.text.clone(), rule)),
        }
        match ways::never(rule, roles, known.ways) {
            Some(why) => warn(why),
            None => useless(rule, roles, known.ways).for_each(&mut warn),
        }
        nothing_named(rule, roles, known).into_iter().for_each(|why| warn(format!("`{id}` is about nothing: {why}")));
        if let Some(constant) = body.constant() {
            warn(format!("`{id}` has a condition that is always {constant}"));
        }
        if let Some(wide) = permitted_by(rule, body, &open, roles) {
            let cure = if body.conditions.is_empty() {
                ""
            } else {
                ": a permit never narrows another; write `forbid … unless`"
            };
            warn(format!("`{id}` adds nothing to `{}`, which permits all of it{cure}", wide.reason.id));
        }
        if permits(rule) && otherwise == Otherwise::Permit {
            warn(format!("`{id}` permits what is allowed anyway, by `default = \"permit\"`"));
        }
        if !forbids(rule) {
            let covering = |conditions: &[Value]| {
                let mut may = forbidding.that_may_cover(&rule.action);
                may.find(|(forbid, of)| of.conditions == conditions && covers(forbid, rule, roles))
            };
            if let Some((forbid, _)) = covering(&[]).or_else(|| covering(&body.conditions)) {
                let what =
                    if rule.reason.asks.is_some() { "never asks for anything" } else { "never permits anything" };
                warn(format!("`{id}` {what}: `{}` always forbids it", forbid.reason.id));
            }
        }
    }
    found.extend(schema::impossible(rules, sources));
    let of_roles = sources.iter().find(|source| source.name == crate::policies::OF_ROLES);
    found.extend(of_roles.into_iter().flat_map(|source| of_no_uri(roles, source)));
    // Roles stand in no text that somebody wrote.
    for problem in found.iter_mut().filter(|problem| problem.source == crate::policies::OF_ROLES) {
        (problem.line, problem.column) = (0, 0);
    }
    found.sort_by(|one, other| (&one.source, one.line, one.column).cmp(&(&other.source, other.line, other.column)));
    found
}

/// Patterns of roles and tool groups by which no resource is called.
fn of_no_uri(roles: &Roles, source: &Source<'_>) -> Vec<Problem> {
    let of_role = |(name, role): (&String, &Role)| {
        let lists = [("allow", &role.allow), ("deny", &role.deny), ("approve", &role.approve)];
        let granted = |(list, grants): (&str, &Vec<Grant>)| {
            let whose = format!("role.{name}.{list}");
            let scopes = grants.iter().filter_map(|grant| match grant {
                Grant::Scope(scope) => Some(scope.clone()),
                Grant::ToolGroup(_) => None,
            });
            scopes.map(|scope| (whose.clone(), scope)).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(granted).collect::<Vec<_>>()
    };
    let of_groups = roles
        .tool_groups
        .iter()
        .flat_map(|(name, scopes)| scopes.iter().map(move |scope| (format!("tool_group.{name}"), scope.clone())));
    let is_none = |scope: &Scope| match scope {
        Scope::Thing(Kind::Resource, _, pattern) => {
            let beginning = pattern.strip_suffix('*').filter(|beginning| !beginning.is_empty());
            beginning.is_some_and(|beginning| !place::begins_any(beginning))
        }
        _ => false,
    };
    let all = roles.roles.iter().flat_map(of_role).chain(of_groups);
    let said = |(whose, scope): (String, Scope)| {
        format!("`{whose}` has `{scope}`, and no URI that can be read as one alone begins so")
    };
    all.filter(|(_, scope)| is_none(scope)).map(|named| Problem::at(source, 0, said(named))).collect()
}

/// A permit without conditions that permits all that this one does, which somebody wrote to narrow it. Lists of roles may well
/// name something twice.
fn permitted_by<'r>(rule: &Rule, body: &Body, open: &ByAction<'r, '_>, roles: &Roles) -> Option<&'r Rule> {
    if rule.policy.effect() != Effect::Permit || rule.source == 0 {
        return None;
    }
    let mut may = open.that_may_cover(&rule.action);
    may.find(|(wide, of)| of.text != body.text && covers(wide, rule, roles)).map(|(wide, _)| wide)
}

/// Approvers of a rule whom nobody can be, beside others.
fn useless(rule: &Rule, roles: &Roles, ways: Ways) -> impl Iterator<Item = String> {
    let approvers = rule.reason.asks.iter().flat_map(|asks| asks.approvers.iter());
    approvers.filter_map(move |approver| {
        let why = roles.nobody_is(approver, ways)?;
        Some(format!("`{}` lets `{approver}` approve, and {why}", rule.reason.id))
    })
}

/// Whether nothing lifts it.
fn forbids(rule: &Rule) -> bool {
    rule.policy.effect() == Effect::Forbid && rule.reason.asks.is_none()
}

/// Rules by the one action that they are about, so that of thousands each is held against few.
struct ByAction<'r, 'b> {
    one: HashMap<&'r EntityUid, Vec<(&'r Rule, &'b Body)>>,
    /// About several actions, or any.
    others: Vec<(&'r Rule, &'b Body)>,
}

impl<'r: 'b, 'b> ByAction<'r, 'b> {
    fn of<'a>(rules: impl Iterator<Item = &'a (&'r Rule, &'b Body)>) -> Self
    where
        'r: 'a,
        'b: 'a,
    {
        let mut found = ByAction { one: HashMap::new(), others: Vec::new() };
        for &(rule, body) in rules {
            match &rule.action {
                ActionConstraint::Eq(uid) => found.one.entry(uid).or_default().push((rule, body)),
                _ => found.others.push((rule, body)),
            }
        }
        found
    }

    /// Those that may be about all that these actions are: one about a single action is about no other.
    fn that_may_cover(&self, narrow: &ActionConstraint) -> impl Iterator<Item = (&'r Rule, &'b Body)> {
        let first = match narrow {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(uid) => Some(uid),
            ActionConstraint::In(uids) => uids.first(),
        };
        let one = first.and_then(|uid| self.one.get(uid)).into_iter().flatten();
        one.chain(&self.others).copied()
    }
}

/// What a rule says, without how it is called.
struct Body {
    /// All of it, to be compared.
    text: String,
    conditions: Vec<Value>,
}

impl Body {
    fn of(rule: &Rule) -> Body {
        let mut json = rule.policy.to_json().unwrap_or_default();
        let conditions = json.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        // What it asks for is part of what it says.
        let asks = rule.reason.asks.as_ref().map(|asks| format!("{asks:?}"));
        if let Some(members) = json.as_object_mut() {
            members.remove("annotations");
        }
        // The keys are sorted.
        Body { text: format!("{asks:?} {json}"), conditions }
    }

    /// What a condition comes to that reads nothing.
    fn constant(&self) -> Option<bool> {
        let bodies = self.conditions.iter().filter_map(|condition| condition.get("body"));
        bodies.filter_map(|body| body.get("Value")).find_map(Value::as_bool)
    }
}

/// Whether whatever `rule` is about `forbid` is about as well.
fn covers(forbid: &Rule, rule: &Rule, roles: &Roles) -> bool {
    covers_who(&forbid.principal, &rule.principal, roles)
        && covers_action(&forbid.action, &rule.action)
        && covers_what(&forbid.resource, &rule.resource, &rule.action)
}

fn covers_who(wide: &PrincipalConstraint, narrow: &PrincipalConstraint, roles: &Roles) -> bool {
    use PrincipalConstraint::{Any, Eq, In, Is, IsIn};
    let group = match wide {
        // All who ask are users.
        Any | Is(_) => return true,
        Eq(who) => return matches!(narrow, Eq(other) if other == who),
        In(group) | IsIn(_, group) => group,
    };
    match narrow {
        In(other) | IsIn(_, other) => other == group,
        Eq(who) if *who.type_name() == *USER => {
            let held = roles.held_by(who.id().unescaped(), &[], &[]);
            let is =
                |kind: &EntityTypeName, names: &BTreeSet<String>| names.iter().any(|name| uid(kind, name) == *group);
            is(&ROLE, &held.roles) || is(&GROUP, &held.groups)
        }
        _ => false,
    }
}

fn covers_action(wide: &ActionConstraint, narrow: &ActionConstraint) -> bool {
    let wide = match wide {
        ActionConstraint::Any => return true,
        ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
        ActionConstraint::In(uids) => uids.as_slice(),
    };
    let covered = |uid: &EntityUid| {
        let is_call = uid.id().unescaped().contains('/');
        let above =
            |held: &EntityUid| matches!(held.id().unescaped(), "use") || (is_call && held.id().unescaped() == "call");
        wide.iter().any(|held| held == uid || above(held))
    };
    match narrow {
        ActionConstraint::Any => wide.iter().any(|uid| uid.id().unescaped() == "use"),
        ActionConstraint::Eq(uid) => covered(uid),
        ActionConstraint::In(uids) => uids.iter().all(covered),
    }
}

fn covers_what(wide: &ResourceConstraint, narrow: &ResourceConstraint, action: &ActionConstraint) -> bool {
    use ResourceConstraint::{Any, Eq, In, Is, IsIn};
    if let Any = wide {
        return true;
    }
    // A call of a tool is about that tool, whatever the rule says of it besides.
    let named = match action {
        ActionConstraint::Eq(uid) if uid.id().unescaped().contains('/') => {
            Some(crate::names::uid(&TOOL, uid.id().unescaped()))
        }
        _ => None,
    };
    let thing = match narrow {
        Eq(thing) => Some(thing.clone()),
        _ => named,
    };
    let of_server = |thing: &EntityUid, server: &EntityUid| {
        *server.type_name() == *SERVER
            && thing.id().unescaped().split_once('/').is_some_and(|(of, _)| of == server.id().unescaped())
    };
    let is_kind = |kind: &EntityTypeName| match (narrow, &thing) {
        (Is(own) | IsIn(own, _), _) => own == kind,
        (_, Some(thing)) => thing.type_name() == kind,
        _ => false,
    };
    let is_in = |group: &EntityUid| match (narrow, &thing) {
        (In(own) | IsIn(_, own), _) if own == group => true,
        (_, Some(thing)) => thing == group || of_server(thing, group),
        _ => false,
    };
    match wide {
        Any => true,
        Eq(held) => thing.as_ref() == Some(held),
        Is(kind) => is_kind(kind),
        In(group) => is_in(group),
        IsIn(kind, group) => is_kind(kind) && is_in(group),
    }
}

/// Why a rule is about nothing that there is.
fn nothing_named(rule: &Rule, roles: &Roles, known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    if let PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) =
        &rule.principal
    {
        found.extend(nobody(uid, roles, known));
    }
    let actions = match &rule.action {
        ActionConstraint::Any => &[],
        ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
        ActionConstraint::In(uids) => uids.as_slice(),
    };
    // Of several it is enough that one is there; that the others are not is worth knowing all the same.
    found.extend(actions.iter().filter_map(|uid| nothing(uid, roles, known)));
    if let ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) = &rule.resource
    {
        found.extend(nothing(uid, roles, known));
    }
    found.dedup();
    found
}

fn nobody(uid: &EntityUid, roles: &Roles, known: &Known) -> Option<String> {
    let (kind, id) = (uid.type_name(), uid.id().unescaped());
    if *kind == *ROLE {
        let brought = known.roles.as_ref().is_none_or(|brought| brought.contains(id));
        let listed = roles.roles.get(id).is_some_and(|role| !role.members.is_empty());
        let by_group = |(name, group): (&String, &crate::Group)| {
            group.roles.iter().any(|role| role == id) && has_members(name, group, known)
        };
        let held = brought || listed || roles.groups.iter().any(by_group);
        let all = roles.roles.keys().chain(known.roles.iter().flatten()).map(String::as_str);
        return (!held).then(|| format!("nobody has the role `{id}`{}", meant(id, all)));
    }
    if *kind == *GROUP {
        return match roles.groups.get(id) {
            Some(group) if has_members(id, group, known) => None,
            Some(_) => Some(format!("nobody is in the group `{id}`")),
            None if known.groups.as_ref().is_none_or(|groups| groups.contains(id)) => None,
            None => {
                let all = roles.groups.keys().chain(known.groups.iter().flatten()).map(String::as_str);
                Some(format!("there is no group `{id}`{}", meant(id, all)))
            }
        };
    }
    (*kind == *TENANT && id != TENANT_OF_ALL && !known.tenants).then(|| format!("nobody is of the tenant `{id}`"))
}

fn has_members(name: &str, group: &crate::Group, known: &Known) -> bool {
    !group.members.is_empty() || known.groups.as_ref().is_none_or(|groups| groups.contains(name))
}

/// Why there is no such tool, server or group of tools.
fn nothing(uid: &EntityUid, roles: &Roles, known: &Known) -> Option<String> {
    let (kind, id) = (uid.type_name(), uid.id().unescaped());
    let server = |server: &str| match known.servers.get(server) {
        None if known.others => Ok(None),
        None => {
            let near = meant(server, known.servers.keys().map(String::as_str));
            Err(format!("there is no server `{server}`{near}"))
        }
        Some(tools) => Ok(tools.as_ref()),
    };
    if *kind == *TOOL_GROUP {
        return match roles.tool_groups.get(id) {
            Some(group) if group.iter().next().is_some() => None,
            Some(_) => Some(format!("the tool group `{id}` is empty")),
            None => Some(format!(
                "there is no tool group `{id}`{}",
                meant(id, roles.tool_groups.keys().map(String::as_str))
            )),
        };
    }
    if *kind == *SERVER {
        return server(id).err();
    }
    let is_tool = *kind == *TOOL || (*kind == *ACTION && id.contains('/'));
    let (of, name) = id.split_once('/').filter(|_| *kind != *TENANT && (*kind != *ACTION || is_tool))?;
    match server(of) {
        Err(why) => Some(why),
        Ok(Some(tools)) if is_tool && !tools.contains(name) => {
            Some(format!("server `{of}` has no tool `{name}`{}", meant(name, tools.iter().map(String::as_str))))
        }
        Ok(_) => None,
    }
}
