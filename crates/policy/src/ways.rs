//! Challenges that nobody can ever meet: whoever wrote them will not have meant to forbid.

use cedar_policy::{ActionConstraint, EntityUid, PrincipalConstraint};

use crate::names::USER;
use crate::near::meant;
use crate::rule::{Asks, Rule};
use crate::{Approver, Challenge, Principal, Roles};

/// By what people can meet challenges, beside the command of a user of this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ways {
    /// Whether they can sign in on pages.
    pub pages: bool,
    /// Whether tokens are taken that may say when and how somebody signed in.
    pub tokens: bool,
}

/// Why nobody can ever meet what a rule asks for, as far as that can be told; nothing if somebody may.
pub(crate) fn never(rule: &Rule, roles: &Roles, ways: Ways) -> Option<String> {
    let (id, asks) = (&rule.reason.id, rule.reason.asks.as_ref()?);
    if is_of_servers(&rule.action) {
        return Some(format!(
            "`{id}` asks for what nobody is asked: it is about what a server sends, which is refused"
        ));
    }
    match asks.challenge {
        Challenge::Approval => {
            let why = roles.nobody_of(&asks.approvers, ways)?;
            Some(format!("`{id}` asks for an approval that nobody can ever give: {why}"))
        }
        Challenge::StepUp => {
            let why = unproven(rule, asks, ways)?;
            Some(format!("`{id}` asks for a proof that nobody can ever give: {why}"))
        }
    }
}

/// Whether something is only ever asked by a server.
fn is_of_servers(action: &ActionConstraint) -> bool {
    let actions = match action {
        ActionConstraint::Any => return false,
        ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
        ActionConstraint::In(uids) => uids.as_slice(),
    };
    let is_asked_back = |uid: &EntityUid| matches!(uid.id().unescaped(), "sample" | "elicit");
    !actions.is_empty() && actions.iter().all(is_asked_back)
}

/// Why nobody can show who they are, on a page or by a token.
fn unproven(rule: &Rule, asks: &Asks, ways: Ways) -> Option<String> {
    let who = match &rule.principal {
        PrincipalConstraint::Eq(uid) if *uid.type_name() == *USER => Some(uid.id().unescaped()),
        _ => None,
    };
    let on_page = match who {
        _ if !ways.pages => "there are no pages for that, as there is no [sign_in]".to_owned(),
        Some(who) if !signs_in(who) => format!("`{who}` is the name of nobody who signs in on a page"),
        _ => return None,
    };
    let by_token = match (asks.max_age, who) {
        (None, _) if !ways.tokens => return Some(on_page),
        (None, _) => "without `@max_age` no token is taken for it".to_owned(),
        (Some(_), _) if !ways.tokens => "no [auth.oauth.NAME] takes tokens that could be it".to_owned(),
        (Some(_), Some(who)) if has_no_token(who) => format!("`{who}` comes with no token that could be it"),
        (Some(_), _) => return None,
    };
    Some(format!("{on_page}, and {by_token}"))
}

impl Roles {
    /// Why nobody who is an approver of that kind can ever decide: whoever approves has the roles and groups that the
    /// configuration gives them, and no others. Nothing if somebody can, or might.
    #[must_use]
    pub fn nobody_is(&self, approver: &Approver, ways: Ways) -> Option<String> {
        let (whose, members) = match approver {
            Approver::User(name) => return cannot_decide(name, ways),
            Approver::Role(name) => (format!("the role `{name}`"), self.members_with(name)),
            Approver::Group(name) => (format!("the group `{name}`"), self.members_of(name)),
        };
        if members.is_empty() {
            let verb = if matches!(approver, Approver::Role(_)) { "gives nobody" } else { "has nobody in" };
            let near = match approver {
                Approver::Role(name) => {
                    meant(name, self.roles.keys().filter(|role| **role != **name).map(String::as_str))
                }
                _ => String::new(),
            };
            return Some(format!("the configuration {verb} {whose}{near}"));
        }
        let whys: Option<Vec<_>> = members.into_iter().map(|name| cannot_decide(name, ways)).collect();
        whys?.first().map(|why| format!("nobody of {whose} can: {why}"))
    }

    /// Why none of these can ever approve anything; nothing if one can, or none is named.
    #[must_use]
    pub fn nobody_of(&self, approvers: &[Approver], ways: Ways) -> Option<String> {
        let whys: Option<Vec<_>> = approvers.iter().map(|approver| self.nobody_is(approver, ways)).collect();
        whys.filter(|whys| !whys.is_empty()).map(|whys| whys.join(", and "))
    }

    /// Whom the configuration gives a role.
    fn members_with(&self, role: &str) -> Vec<&str> {
        let listed = self.roles.get(role).into_iter().flat_map(|role| &role.members);
        let bringing = self.groups.values().filter(|group| group.roles.iter().any(|own| own == role));
        listed.chain(bringing.flat_map(|group| &group.members)).map(String::as_str).collect()
    }

    fn members_of(&self, group: &str) -> Vec<&str> {
        self.groups.get(group).into_iter().flat_map(|group| &group.members).map(String::as_str).collect()
    }
}

/// Why nobody of that name can approve. A user of this machine does so by a command, if they may use the store.
fn cannot_decide(name: &str, ways: Ways) -> Option<String> {
    if !signs_in(name) {
        let is_user = name.strip_prefix("uid:").is_some_and(|number| number.parse::<u32>().is_ok());
        let why = || format!("`{name}` is the name of nobody who signs in on a page, nor of a user of this machine");
        return (!is_user).then(why);
    }
    (!ways.pages).then(|| format!("`{name}` could approve only on a page, of which there are none without [sign_in]"))
}

/// Whether somebody who signs in on a page may be called that: others have a prefix, or no name.
fn signs_in(name: &str) -> bool {
    !name.contains(':') && name != Principal::ANONYMOUS
}

/// Whether whoever is called that comes with no token of an issuer.
fn has_no_token(name: &str) -> bool {
    name == Principal::ANONYMOUS || ["uid:", "cert:"].iter().any(|prefix| name.starts_with(prefix))
}
