//! Who asks for what, made ready for many decisions.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_policy::{Entity, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::Value;

use crate::input::Input;
use crate::names::{ACTION, GROUP, PROMPT, RESOURCE, ROLE, SERVER, TENANT, TENANT_OF_ALL, TOOL, TOOL_GROUP, USER, uid};
use crate::place;
use crate::{Kind, Principal, Roles, SignedIn};

/// Somebody who asks.
#[derive(Debug, Clone)]
pub struct Subject {
    /// No other has it, so what was made of one can be kept by it.
    pub(crate) number: u64,
    pub(crate) uid: EntityUid,
    pub(crate) entity: Entity,
    /// Itself and all that it is in.
    pub(crate) within: Vec<EntityUid>,
    pub(crate) signed_in: Option<Arc<SignedIn>>,
}

impl Subject {
    pub(crate) fn new(principal: &Principal, roles: &Roles) -> Option<Subject> {
        let held = roles.held_by(&principal.id, &principal.roles, &principal.groups);
        let tenant = uid(&TENANT, principal.tenant.as_deref().unwrap_or(TENANT_OF_ALL));
        let parents: HashSet<_> = held
            .roles
            .iter()
            .map(|role| uid(&ROLE, role))
            .chain(held.groups.iter().map(|group| uid(&GROUP, group)))
            .chain([tenant.clone()])
            .collect();
        let own = uid(&USER, &principal.id);
        let attributes = HashMap::from([
            ("name".to_owned(), RestrictedExpression::new_string(principal.id.to_string())),
            ("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant)),
        ]);
        let within = parents.iter().cloned().chain([own.clone()]).collect();
        let entity = Entity::new(own.clone(), attributes, parents).ok()?;
        Some(Subject { number: number(), entity, uid: own, within, signed_in: principal.signed_in.clone() })
    }
}

/// What a server says a tool does; what it does not say is the worst case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy something.
    pub destructive: bool,
    /// Once is as good as twice.
    pub idempotent: bool,
    /// It reaches beyond what the server itself holds.
    pub open_world: bool,
}

impl Default for Hints {
    fn default() -> Self {
        Hints { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

impl Hints {
    /// The `annotations` of a tool.
    #[must_use]
    pub fn of(annotations: &Value) -> Hints {
        let worst = Hints::default();
        let hint = |name: &str, worst: bool| annotations.get(name).and_then(Value::as_bool).unwrap_or(worst);
        let read_only = hint("readOnlyHint", worst.read_only);
        Hints {
            read_only,
            // It only says something of a tool that changes something.
            destructive: !read_only && hint("destructiveHint", worst.destructive),
            idempotent: hint("idempotentHint", worst.idempotent),
            open_world: hint("openWorldHint", worst.open_world),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Use<'a> {
    /// The call of a tool; without a schema none of its arguments is known.
    Call(&'a str, Option<&'a Value>, Hints),
    /// A resource, by its URI.
    Read(&'a str),
    /// A prompt, by its name.
    Get(&'a str),
    /// A method that the specification has no client send.
    Send,
    /// The server asks the client's model.
    Sample,
    /// The server asks the client's user.
    Elicit,
}

/// Something to decide about.
#[derive(Debug)]
pub struct Target {
    /// As of a [`Subject`].
    pub(crate) number: u64,
    pub(crate) uid: EntityUid,
    pub(crate) action: EntityUid,
    pub(crate) entities: Vec<Entity>,
    /// Itself and all that it is in.
    pub(crate) within: Vec<EntityUid>,
    /// The action and all that it is in.
    pub(crate) actions: Vec<EntityUid>,
    pub(crate) kind: EntityTypeName,
    pub(crate) input: Option<Input>,
    /// Rules that read what this tool has not, or not of that type.
    pub(crate) unfit: Vec<usize>,
    /// Whether any rule reads arguments of it.
    pub(crate) is_read: bool,
    /// The server of a resource whose URI can be read as several.
    pub(crate) unclear: Option<Box<str>>,
}

impl Target {
    pub(crate) fn new(server: &str, of: Use<'_>, roles: &Roles) -> Option<Target> {
        let (own_server, tenant) = (uid(&SERVER, server), uid(&TENANT, TENANT_OF_ALL));
        let (kind, scope, name, action) = match of {
            Use::Call(name, ..) => (&*TOOL, Some(Kind::Tool), name, format!("{server}/{name}")),
            Use::Read(uri) => (&*RESOURCE, Some(Kind::Resource), uri, "read".to_owned()),
            Use::Get(name) => (&*PROMPT, Some(Kind::Prompt), name, "get".to_owned()),
            Use::Send => (&*SERVER, None, server, "send".to_owned()),
            Use::Sample => (&*SERVER, None, server, "sample".to_owned()),
            Use::Elicit => (&*SERVER, None, server, "elicit".to_owned()),
        };
        // Rules compare it in one form; without one it is compared as it is written, and by nothing but the whole of it.
        let form = if scope == Some(Kind::Resource) { place::canonical(name) } else { Some(Cow::Borrowed(name)) };
        let unclear = form.is_none().then(|| server.into());
        let name = form.as_deref().unwrap_or(name);
        let own = if scope.is_some() { uid(kind, &format!("{server}/{name}")) } else { own_server.clone() };
        let groups = |kind| roles.tool_groups_of(server, kind, name).map(|group| uid(&TOOL_GROUP, group));
        let mut parents: HashSet<_> = groups(scope).chain([tenant.clone()]).collect();
        let mut attributes = facts(name, &tenant);
        let mut entities = Vec::with_capacity(3);
        if scope.is_some() {
            let of_server = roles.tool_groups_of(server, None, server).map(|group| uid(&TOOL_GROUP, group));
            let above = of_server.chain([tenant.clone()]).collect();
            entities.push(Entity::new(own_server.clone(), facts(server, &tenant), above).ok()?);
            parents.insert(own_server.clone());
            attributes.insert("server".to_owned(), RestrictedExpression::new_entity_uid(own_server));
        }
        let mut actions = vec![uid(&ACTION, &action), uid(&ACTION, "use")];
        let mut input = None;
        if let Use::Call(_, schema, hints) = of {
            actions.push(uid(&ACTION, "call"));
            input = schema.map(Input::of);
            for (name, value) in [
                ("read_only", hints.read_only),
                ("destructive", hints.destructive),
                ("idempotent", hints.idempotent),
                ("open_world", hints.open_world),
            ] {
                attributes.insert(name.to_owned(), RestrictedExpression::new_bool(value));
            }
        }
        let above = actions.iter().skip(1).cloned().collect();
        let action = uid(&ACTION, &action);
        entities.push(Entity::new_no_attrs(action.clone(), above));
        let within = parents.iter().cloned().chain([own.clone()]).collect();
        entities.push(Entity::new(own.clone(), attributes, parents).ok()?);
        Some(Target {
            number: number(),
            uid: own,
            action,
            entities,
            within,
            actions,
            kind: kind.clone(),
            input,
            unfit: Vec::new(),
            is_read: false,
            unclear,
        })
    }

    /// Whether arguments may decide about it; if not, they need not be given.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// The type of its arguments, as far as it is known.
    #[must_use]
    pub fn input(&self) -> Option<&Input> {
        self.input.as_ref()
    }
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn facts(name: &str, tenant: &EntityUid) -> HashMap<String, RestrictedExpression> {
    HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(name.to_owned())),
        ("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant.clone())),
        ("labels".to_owned(), RestrictedExpression::new_set([])),
    ])
}
