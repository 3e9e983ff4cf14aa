//! `bartizan approve` and `bartizan deny`: deciding about what somebody has to agree to.

mod report;

use bartizan_gateway::agree::{self, Who, objection};
use bartizan_policy::Roles;
use bartizan_store::approvals::{Approval, By, Part, Request, State};
use bartizan_store::{Store, StoreError};
use clap::Args;

pub(super) use self::report::{Decided, Listed};
use crate::ask;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::stored::{Place, change, now};
use crate::text::inline;

const EXAMPLES: &str = "\
Examples:
  bartizan approve --list
  bartizan approve 4mz0k7q2x9cd
  bartizan approve 4mz0k7q2x9cd --yes --reason 'as agreed with Ann'
  bartizan deny 4mz0k7q2x9cd";

/// Shows what somebody has to agree to before it is done, and agrees
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The request, as the refusal names it
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    id: Option<String>,
    /// Lists the requests that wait, and those that were approved and not used
    #[arg(long)]
    list: bool,
    /// With --list: also those that are over
    #[arg(long, requires = "list")]
    all: bool,
    /// What to say about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Agrees without asking back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Says no to what somebody has to agree to; the same call is refused until the request would have expired
#[derive(Args)]
pub(crate) struct DenyArguments {
    /// The request, as the refusal names it
    id: String,
    /// What to say about it; whoever asked is told
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// A request with what is sealed of it.
struct Shown {
    approval: Approval,
    /// The parameters as they are shown, if they are still there.
    params: Option<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        check_reason(&self.reason)?;
        let Some(id) = &self.id else { return self.list() };
        if self.json && !self.yes {
            return Err(Failure::usage("with --json nobody is shown what they agree to; say --yes as well"));
        }
        let held = self.place.with(false, async |store| Shown::of(store, store.approval(id).await?).await)?;
        check(&self.place, &held.approval)?;
        // What is agreed to is seen before, also where nobody is asked.
        if !self.json {
            output::print(&held.text(Paint::for_stdout()))?;
        }
        let is_pending = held.approval.state(now().0) == State::Pending;
        if is_pending && !held.approval.request.needs_yes {
            let why = format!("nobody has to agree to it: {}", proof(&self.place, &held.approval.request)?);
            return Err(Failure::usage(why));
        }
        if !self.yes && !ask::yes("agree to this?", "to agree")? {
            say("nothing was decided");
            return Ok(Outcome::Found);
        }
        let settled = self.place.with(false, async |store| {
            let change = change(now());
            // As long again as it might have waited.
            let until = change.at.saturating_add(held.approval.request.expires_at - held.approval.request.created_at);
            store.grant_approval(id, Part::Yes, &self.reason, until, By::Operator(&change)).await
        })?;
        let done = decided(&settled, self.json);
        if !self.json && settled.state(now().0) == State::Pending {
            say(&proof(&self.place, &settled.request)?);
        }
        done
    }

    fn list(&self) -> Result<Outcome, Failure> {
        let at = now().0;
        let mut all = self.place.with(false, async |store| {
            let mut all = Vec::new();
            for approval in store.approvals().await? {
                all.push(Shown::of(store, approval).await?);
            }
            Ok(all)
        })?;
        if !self.all {
            all.retain(|held| matches!(held.approval.state(at), State::Pending | State::Approved));
        }
        if self.json {
            output::print_json(&Listed::of(&all, at))?;
        } else if all.is_empty() {
            say("nothing waits for an approval");
        } else {
            let paint = Paint::for_stdout();
            all.iter().try_for_each(|held| output::print(&held.text(paint)))?;
        }
        Ok(Outcome::Clean)
    }
}

impl DenyArguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        check_reason(&self.reason)?;
        // Whoever holds the store can stop the gateway altogether, so nobody else has to be found for a no.
        let settled = self.place.with(false, async |store| {
            store.deny_approval(&self.id, &self.reason, By::Operator(&change(now()))).await
        })?;
        decided(&settled, self.json)
    }
}

impl Shown {
    async fn of(store: &Store, approval: Approval) -> Result<Shown, StoreError> {
        let request = &approval.request;
        if request.sealed.is_empty() {
            return Ok(Shown { approval, params: None });
        }
        let sealer = store.sealer().await?;
        let plain = sealer.unseal(agree::PURPOSE, &agree::owner(&request.id), &request.sealed)?;
        let unreadable = || StoreError::State(format!("what `{}` is about cannot be read", approval.request.id));
        let params = agree::shown(&plain).ok_or_else(unreadable)?;
        Ok(Shown { approval, params: Some(params) })
    }

    /// The parameters as they are shown.
    fn params(&self) -> Option<String> {
        self.params.clone()
    }
}

/// Refuses what whoever is at the terminal may not agree to.
fn check(place: &Place, approval: &Approval) -> Result<(), Failure> {
    let by = change(now()).by;
    // Who is in which group is known only where somebody is named.
    let named =
        approval.request.asks.to_string().contains("group:") || approval.request.asks.to_string().contains("role:");
    let roles = if named { place.roles()? } else { Roles::default() };
    match objection(&approval.request, Who::Operator(&by), &roles) {
        None => Ok(()),
        Some(why) => {
            let (id, who) = (&approval.request.id, agree::others(&approval.request));
            let page = page(place, &approval.request)?.map(|page| format!(", {page}")).unwrap_or_default();
            let help = format!("have {who} decide{page}; you can say no: bartizan deny {id}");
            Err(Failure::usage(format!("{why}\n  = help: {}", inline(&help))))
        }
    }
}

/// Who has to show who they are, which nobody else can for them, and where.
fn proof(place: &Place, request: &Request) -> Result<String, Failure> {
    let none = || "and without [sign_in] there is no page for that".to_owned();
    let (who, place) = (inline(&request.principal), page(place, request)?.unwrap_or_else(none));
    Ok(format!("`{who}` has to show who they are, {place}"))
}

/// Where the page of a request is, if people can sign in.
fn page(place: &Place, request: &Request) -> Result<Option<String>, Failure> {
    if !place.has_sign_in() {
        return Ok(None);
    }
    let page = format!("/bartizan/approve/{}", request.id);
    // A port that the system chooses is known only to the gateway.
    let public = place.known_public()?.filter(|public| !public.ends_with(":0"));
    Ok(Some(match public {
        Some(public) => format!("at {public}{page}"),
        None => format!("at {page} of the gateway's pages"),
    }))
}

fn check_reason(text: &str) -> Result<(), Failure> {
    if text.len() > 200 || inline(text) != text {
        return Err(Failure::usage("a reason is one line of at most 200 bytes"));
    }
    Ok(())
}

fn decided(approval: &Approval, json: bool) -> Result<Outcome, Failure> {
    let at = now().0;
    if json {
        output::print_json(&Decided::of(approval, at))?;
    } else {
        let state = approval.state(at).as_str();
        output::print(&format!("{state}: {}", approval.request.id))?;
        if approval.state(at) == State::Approved {
            say(&format!("good for once, until {}", report::moment(approval.request.expires_at)));
        }
    }
    Ok(Outcome::Clean)
}
