//! Who may agree to what.

use std::collections::BTreeSet;

use bartizan_guard::{Approver, Principal, Roles};
use bartizan_store::approvals::Request;
use serde_json::Value;

/// Somebody who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// Somebody who has signed in.
    Person(&'a str),
    /// Whoever can use the store of the gateway: a user of this machine.
    Operator(&'a str),
}

impl<'a> Who<'a> {
    /// What they are called.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Who::Person(name) | Who::Operator(name) => name,
        }
    }
}

/// Why somebody may not agree to a request, or say no to it; nothing if they may.
#[must_use]
pub fn objection(request: &Request, who: Who<'_>, roles: &Roles) -> Option<String> {
    let name = who.name();
    // Also where the one who asks is written in capitals: they are one person.
    if request.four_eyes && name.eq_ignore_ascii_case(&request.principal) {
        return Some("nobody agrees to what they ask for themselves".to_owned());
    }
    for ask in request.asks.get("asks").and_then(Value::as_array).into_iter().flatten() {
        if ask.get("need").and_then(Value::as_str) != Some("approval") {
            continue;
        }
        let words: Vec<_> = ask.get("approvers").and_then(Value::as_array).into_iter().flatten().collect();
        let approvers: Vec<_> = words.iter().filter_map(|word| Approver::parse(word.as_str()?)).collect();
        // One that cannot be read may be the only one who may.
        if approvers.len() != words.len() {
            return Some("who may agree cannot be read".to_owned());
        }
        if !approvers.is_empty() && !roles.is_one_of(name, &[], &approvers) {
            let names: Vec<_> = approvers.iter().map(ToString::to_string).collect();
            return Some(format!("`{name}` is none of those who may agree: {}", names.join(", ")));
        }
        if approvers.is_empty() && !is_usual(request, who) {
            return Some(format!("only `{}` may agree, or whoever runs the gateway", request.principal));
        }
    }
    None
}

/// Who may agree, of each that asks for a yes and says who: such as `role:lead`.
pub(super) fn approvers(request: &Request) -> BTreeSet<Vec<&str>> {
    let asks = request.asks.get("asks").and_then(Value::as_array).into_iter().flatten();
    let of_yes = asks.filter(|ask| ask.get("need").and_then(Value::as_str) == Some("approval"));
    let lists = of_yes.filter_map(|ask| ask.get("approvers")?.as_array());
    lists.filter(|list| !list.is_empty()).map(|list| list.iter().filter_map(Value::as_str).collect()).collect()
}

/// Who may agree to a request other than whoever asks, in words such as `one of role:lead`.
#[must_use]
pub fn others(request: &Request) -> String {
    let lists: Vec<_> = approvers(request).into_iter().collect();
    match (&lists[..], request.four_eyes) {
        ([], true) => "somebody else".to_owned(),
        ([], false) if request.principal == Principal::ANONYMOUS => "somebody who signs in".to_owned(),
        ([], false) => "whoever runs the gateway".to_owned(),
        ([list], false) => match &list[..] {
            [one] if one.starts_with("user:") => (*one).to_owned(),
            list => format!("one of {}", list.join(", ")),
        },
        (lists, four_eyes) => {
            let somebody = if four_eyes { "somebody else" } else { "somebody" };
            let each: Vec<_> = lists.iter().map(|list| format!("one of {}", list.join(", "))).collect();
            format!("{somebody} who is {}", each.join(" and "))
        }
    }
}

/// Whether somebody may agree where nothing says who: whoever asks, and whoever runs the gateway; where two have to look at
/// it, anybody else who signs in. Of those who show nothing nobody can sign in as them.
fn is_usual(request: &Request, who: Who<'_>) -> bool {
    match who {
        Who::Operator(_) => true,
        Who::Person(name) => {
            name == request.principal || request.four_eyes || request.principal == Principal::ANONYMOUS
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bartizan_guard::Challenge;
    use serde_json::json;

    use super::*;

    /// A request that asks for something of these approvers.
    pub(in crate::agree) fn request(principal: &str, (need, approvers): (&str, &[&str]), four_eyes: bool) -> Request {
        Request {
            id: "a1".to_owned(),
            digest: [0; 32],
            principal: principal.to_owned(),
            server: "bank".to_owned(),
            what: "tool pay".to_owned(),
            asks: json!({"asks": [{"need": need, "approvers": approvers}]}),
            sealed: Vec::new(),
            needs_yes: true,
            needs_proof: false,
            four_eyes,
            created_at: 0,
            expires_at: 1,
        }
    }

    #[test]
    fn who_may_agree() {
        let (ann, bea, own) = (Who::Person("ann"), Who::Person("bea"), Who::Operator("uid:7"));
        let mut roles = Roles::default();
        let leads = roles.groups.entry("leads".to_owned()).or_default();
        leads.members = vec!["bea".to_owned(), "uid:7".to_owned()];
        leads.roles = vec!["lead".to_owned()];
        let approval = Challenge::Approval.as_str();
        for (principal, four_eyes, need, approvers, who, may) in [
            ("ann", false, approval, &[][..], ann, true),
            ("ann", false, approval, &[], bea, false),
            ("ann", false, approval, &[], own, true),
            ("anonymous", false, approval, &[], bea, true),
            ("uid:7", false, approval, &[], own, true),
            ("ann", true, approval, &[], ann, false),
            ("Ann", true, approval, &[], ann, false),
            ("ann", true, approval, &[], Who::Person("Ann"), false),
            ("UID:7", true, approval, &[], own, false),
            ("corp:ann", true, approval, &[], ann, true),
            ("Ann", false, approval, &[], ann, false),
            ("ann", true, approval, &[], bea, true),
            ("uid:7", true, approval, &[], own, false),
            ("ann", true, approval, &[], own, true),
            ("ann", false, approval, &["group:leads"], ann, false),
            ("ann", false, approval, &["group:leads"], bea, true),
            ("ann", false, approval, &["role:lead"], bea, true),
            ("ann", false, approval, &["role:lead"], own, true),
            ("ann", false, approval, &["user:ann"], ann, true),
            ("ann", true, approval, &["user:ann"], ann, false),
            ("ann", false, approval, &["user:ann"], own, false),
            ("ann", false, approval, &["nobody"], ann, false),
            ("ann", false, approval, &["user:ann", "nobody"], ann, false),
            ("ann", false, "step_up", &["group:leads"], ann, true),
        ] {
            let request = request(principal, (need, approvers), four_eyes);
            let said = objection(&request, who, &roles);
            assert_eq!(said.is_none(), may, "{principal} {four_eyes} {need} {approvers:?} {who:?}: {said:?}");
        }
    }
}
