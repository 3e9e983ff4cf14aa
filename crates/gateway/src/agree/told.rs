//! What is told of a request that waits: who may decide about it, and where.

use bartizan_guard::{Principal, Roles, excerpt};
use bartizan_store::approvals::Request;

use super::{Who, objection, who};

/// By what somebody can decide.
pub(super) struct Means<'a> {
    /// The page of the request, if there are pages.
    pub(super) url: Option<&'a str>,
    /// Whether whoever asks can sign in there.
    pub(super) signs_in: bool,
    /// The user that the gateway runs as, and so whoever types its commands.
    pub(super) operator: &'a str,
}

impl Means<'_> {
    /// The page, if there is anybody who can decide on it.
    pub(super) fn page(&self, request: &Request, roles: &Roles) -> Option<&str> {
        let is_for_others =
            request.four_eyes || *request.principal == *Principal::ANONYMOUS || !who::approvers(request).is_empty();
        self.url.filter(|_| request.needs_proof || is_for_others || self.may_decide(request, roles))
    }

    /// Whether whoever asks can agree to it on the page.
    fn may_decide(&self, request: &Request, roles: &Roles) -> bool {
        self.signs_in && objection(request, Who::Person(&request.principal), roles).is_none()
    }
}

/// What whoever asks is to do, in a sentence without its full stop. It names no way on which nobody gets anywhere.
pub(super) fn what_to_do(request: &Request, roles: &Roles, means: &Means<'_>) -> String {
    let (id, mut steps) = (&request.id, Vec::new());
    let page = means.page(request, roles);
    if let (true, Some(url)) = (request.needs_proof, page) {
        steps.push(format!("show again that it is you at {url}"));
    }
    if request.needs_yes {
        let command = can_by_command(request, roles, means.operator).then(|| format!("with `bartizan approve {id}`"));
        let is_operator = request.principal == means.operator;
        let own = means.may_decide(request, roles)
            || (is_operator && objection(request, Who::Operator(means.operator), roles).is_none());
        let others = who::others(request);
        let place = match (page, command) {
            (Some(url), Some(command)) => format!("at {url} or {command}"),
            (Some(url), None) => format!("at {url}"),
            (None, Some(command)) => command,
            (None, None) => {
                return format!(
                    "request {id} waits for {others}, and there is no page here on which they could approve it ([sign_in])"
                );
            }
        };
        steps.push(if own { format!("approve it {place}") } else { format!("have {others} approve it {place}") });
    }
    format!("request {id} waits: {}, and call again with the same arguments", steps.join(", "))
}

/// What the client's user is told whom it has go to the page.
pub(super) fn invitation(request: &Request) -> String {
    let needs = if request.needs_proof { "asks you to show who you are" } else { "needs somebody's approval" };
    format!("{}'s {} {needs}. Open the page, then come back.", excerpt(&request.server), request.what)
}

/// Whether anybody can agree by a command: whoever runs the gateway, or a user of this machine who is named.
fn can_by_command(request: &Request, roles: &Roles, operator: &str) -> bool {
    let approvers = who::approvers(request);
    let named = approvers.iter().flatten().filter_map(|word| word.strip_prefix("user:"));
    let (roles_of, groups) = (roles.roles.values(), roles.groups.values());
    let members = roles_of.flat_map(|role| &role.members).chain(groups.flat_map(|group| &group.members));
    // Where nobody is named, another user of this machine is no more than that.
    let members = members.filter(|_| !approvers.is_empty());
    let users = named.chain(members.map(String::as_str)).filter(|name| name.starts_with("uid:"));
    users.chain([operator]).any(|name| objection(request, Who::Operator(name), roles).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://x/bartizan/approve/a1";

    fn request(principal: &str, approvers: &[&str], four_eyes: bool) -> Request {
        who::tests::request(principal, ("approval", approvers), four_eyes)
    }

    fn roles() -> Roles {
        let mut roles = Roles::default();
        roles.roles.entry("lead".to_owned()).or_default().members = vec!["bea".to_owned()];
        roles.roles.entry("root".to_owned()).or_default().members = vec!["uid:0".to_owned()];
        roles
    }

    #[test]
    fn whoever_asks_is_told_who_may_decide_and_only_ways_that_lead_somewhere() {
        let both = "at https://x/bartizan/approve/a1 or with `bartizan approve a1`";
        let page = "at https://x/bartizan/approve/a1";
        let command = "with `bartizan approve a1`";
        for (principal, approvers, four_eyes, signs_in, url, expected) in [
            ("ann", &[][..], false, true, Some(URL), format!("approve it {both}")),
            ("bea", &["role:lead"], false, true, Some(URL), format!("approve it {page}")),
            ("ann", &["role:lead"], false, true, Some(URL), format!("have one of role:lead approve it {page}")),
            ("ann", &["role:root"], false, true, Some(URL), format!("have one of role:root approve it {both}")),
            ("ann", &["user:bea"], false, true, Some(URL), format!("have user:bea approve it {page}")),
            (
                "bea",
                &["role:lead", "user:carl"],
                true,
                true,
                Some(URL),
                format!("have somebody else who is one of role:lead, user:carl approve it {page}"),
            ),
            ("ann", &[], true, true, Some(URL), format!("have somebody else approve it {both}")),
            ("anonymous", &[], false, false, Some(URL), format!("have somebody who signs in approve it {both}")),
            // A key made for a program signs in nowhere, and nobody else may on the page.
            ("ci", &[], false, false, Some(URL), format!("have whoever runs the gateway approve it {command}")),
            ("uid:7", &[], false, false, None, format!("approve it {command}")),
            ("uid:7", &[], true, false, Some(URL), format!("have somebody else approve it {page}")),
        ] {
            let request = request(principal, approvers, four_eyes);
            let said = what_to_do(&request, &roles(), &Means { url, signs_in, operator: "uid:7" });
            assert_eq!(said, format!("request a1 waits: {expected}, and call again with the same arguments"));
        }
        let nobody = what_to_do(
            &request("ann", &["role:lead"], false),
            &roles(),
            &Means { url: None, signs_in: false, operator: "uid:7" },
        );
        assert_eq!(
            nobody,
            "request a1 waits for one of role:lead, and there is no page here on which they could approve it ([sign_in])"
        );
    }

    #[test]
    fn whoever_has_to_show_who_they_are_is_told_that() {
        let mut held = Request { needs_proof: true, needs_yes: false, ..request("ann", &[], false) };
        let means = Means { url: Some(URL), signs_in: true, operator: "uid:7" };
        let said = what_to_do(&held, &roles(), &means);
        assert!(said.starts_with(&format!("request a1 waits: show again that it is you at {URL}, and call")), "{said}");
        assert_eq!(invitation(&held), "bank's tool pay asks you to show who you are. Open the page, then come back.");
        held = request("ann", &["role:lead"], false);
        held.needs_proof = true;
        let said = what_to_do(&held, &roles(), &means);
        assert!(
            said.contains(&format!("that it is you at {URL}, have one of role:lead approve it at {URL},")),
            "{said}"
        );
        held.needs_proof = false;
        assert_eq!(invitation(&held), "bank's tool pay needs somebody's approval. Open the page, then come back.");
    }
}
