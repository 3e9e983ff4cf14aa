//! Policies, ready to decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Authorizer, Context, Decision as Answer, Entities, PolicySet, Request, RestrictedExpression};
use sha2::{Digest, Sha256};

use crate::cases::Spellings;
use crate::index::{self, Index, Key, Slice, fits};
use crate::input::Input;
use crate::json::Json;
use crate::lint::{self, Known};
use crate::problem::{Problem, Source};
use crate::rule::{self, Asks, Challenge, Reason, Rule};
use crate::schema;
use crate::subject::{Subject, Target, Use};
use crate::time::moment;
use crate::{Labels, Principal, Roles, SignedIn, Ways, unknown};

/// What holds where no policy says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Otherwise {
    /// It is refused.
    #[default]
    Deny,
    /// It is allowed.
    Permit,
}

/// What a decision is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// It is to be used, now and with these arguments.
    Use,
    /// It is to be shown to somebody who may use it some time, in some way.
    List,
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is allowed.
    Allow,
    /// It is, once this is met.
    Challenge(Challenge),
    /// It is not.
    Deny,
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to happen.
    pub outcome: Outcome,
    /// The policies that decided; none where no policy said anything.
    pub reasons: Vec<Reason>,
    /// The policies that permit it, unless it is denied; none where no policy says anything.
    pub permitted_by: Vec<Arc<str>>,
    /// The policies that ask for a proof which the way is in which somebody signed in.
    pub proven: Vec<Reason>,
    /// Why the policies could not be asked, which denies.
    pub failed: Option<String>,
}

impl Decision {
    fn new(outcome: Outcome, reasons: Vec<Reason>) -> Decision {
        Decision { outcome, reasons, proven: Vec::new(), permitted_by: Vec::new(), failed: None }
    }

    fn failed(why: impl Into<String>, reasons: Vec<Reason>) -> Decision {
        Decision {
            outcome: Outcome::Deny,
            reasons,
            proven: Vec::new(),
            permitted_by: Vec::new(),
            failed: Some(why.into()),
        }
    }
}

/// When and with what something is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// In milliseconds since 1970-01-01 UTC.
    pub now: i64,
    /// The arguments of a call.
    pub arguments: Option<&'a Json>,
    /// What has come into the conversation in which it is asked for.
    pub labels: Labels,
}

/// Policies and what they are about, checked as a whole.
#[derive(Debug)]
pub struct Policies {
    rules: Vec<Rule>,
    index: Index,
    by_id: HashMap<Arc<str>, usize>,
    roles: Roles,
    spellings: Spellings,
    otherwise: Otherwise,
    sources: Vec<(String, String)>,
    version: Box<str>,
    authorizer: Authorizer,
    slices: Mutex<HashMap<Key, Arc<Slice>>>,
    /// By whom and what; which of them are about the same is told by their numbers alone.
    ready: Mutex<HashMap<(u64, u64, Purpose), Arc<Ready>>>,
}

/// What is made of somebody and something before anything is decided; it costs more than the decision.
#[derive(Debug)]
struct Ready {
    slice: Arc<Slice>,
    /// None if nothing is to be evaluated.
    entities: Option<Entities>,
}

/// As many slices are kept; then all are made anew, for whoever asks under ever new names.
const SLICES: usize = 4096;
/// As many of what is made ready are kept.
const READY: usize = 2048;

/// What the policies are called that roles are translated into.
pub(crate) const OF_ROLES: &str = "roles";

impl Policies {
    /// Reads policies and checks all of them that do not depend on a tool.
    ///
    /// # Errors
    /// What is wrong, all of it.
    pub fn new(sources: &[Source<'_>], roles: Roles, otherwise: Otherwise) -> Result<Policies, Vec<Problem>> {
        let of_roles = roles.to_cedar();
        let mut all = vec![Source { name: OF_ROLES, text: &of_roles }];
        if let Err(error) = roles.check() {
            return Err(all.first().map(|source| Problem::at(source, 0, error.to_string())).into_iter().collect());
        }
        all.extend(sources);
        let rules = rule::read(&all)?;
        // What names nothing that there is would be found there as well, in other words and not everywhere.
        let mut problems = unknown::check(&rules, &all);
        if problems.is_empty() {
            problems = schema::check(&rules, &all);
        }
        problems.extend(unknown_approvers(&rules, &roles, &all));
        if !problems.is_empty() {
            return Err(problems);
        }
        let spellings = Spellings::of(&roles, &rules, &all)?;
        Ok(Policies {
            spellings,
            version: version(&all, &roles, otherwise).into(),
            index: Index::new(&rules),
            by_id: rules.iter().enumerate().map(|(number, rule)| (Arc::clone(&rule.reason.id), number)).collect(),
            rules,
            roles,
            otherwise,
            sources: all.iter().map(|source| (source.name.to_owned(), source.text.to_owned())).collect(),
            authorizer: Authorizer::new(),
            slices: Mutex::default(),
            ready: Mutex::default(),
        })
    }

    /// What these are called in records: the beginning of a digest over all that they consist of.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The texts that they were read from, those that roles stand for among them, each with its name.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sources.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What holds where no policy says anything.
    #[must_use]
    pub fn otherwise(&self) -> Otherwise {
        self.otherwise
    }

    /// Whether what no policy says anything about is allowed.
    #[must_use]
    pub fn permits_otherwise(&self) -> bool {
        self.otherwise == Otherwise::Permit
    }

    /// The roles and groups.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Somebody who asks, who may nothing if they cannot be judged.
    ///
    /// # Errors
    /// If their name cannot be expressed, or is that of somebody whom these speak of but for its case: what is denied to the
    /// one would be allowed to the other.
    pub fn subject(&self, principal: &Principal) -> Result<Subject, String> {
        if let Some(other) = self.spellings.other(&principal.id) {
            let name = &principal.id;
            return Err(format!("`{name}` differs from `{other}`, of whom the policies speak, only in case"));
        }
        Subject::new(principal, &self.roles).ok_or_else(|| "who asks cannot be expressed".to_owned())
    }

    /// Something to ask for, held against the policies that read its arguments.
    #[must_use]
    pub fn target(&self, server: &str, of: Use<'_>) -> Option<Target> {
        let mut target = Target::new(server, of, &self.roles)?;
        if let (Use::Call(name, ..), Some(input)) = (of, target.input()) {
            let tool = format!("{server}/{name}");
            let unfit = self.readers(&target).filter(|(_, rule)| !self.unfit(rule, &tool, input).is_empty());
            target.unfit = unfit.map(|(number, _)| number).collect();
        }
        let is_read = self.readers(&target).next().is_some();
        target.is_read = is_read;
        Some(target)
    }

    /// What keeps policies from being asked about a tool.
    #[must_use]
    pub fn problems(&self, server: &str, of: Use<'_>) -> Vec<Problem> {
        let Some(target) = Target::new(server, of, &self.roles) else { return Vec::new() };
        let (Use::Call(name, ..), Some(input)) = (of, target.input()) else { return Vec::new() };
        let tool = format!("{server}/{name}");
        self.readers(&target).flat_map(|(_, rule)| self.unfit(rule, &tool, input)).collect()
    }

    /// What of the policies has no effect, given what there is for them to be about.
    #[must_use]
    pub fn warnings(&self, known: &Known) -> Vec<Problem> {
        let sources: Vec<_> = self.sources.iter().map(|(name, text)| Source { name, text }).collect();
        lint::warnings(&self.rules, &self.roles, self.otherwise, known, &sources)
    }

    /// Why nobody may do anything, so that no tool is listed, if that is plain.
    #[must_use]
    pub fn shuts_all(&self) -> Option<String> {
        lint::shuts_all(&self.rules, self.otherwise)
    }

    /// The id of a policy that forbids a tool to everybody, whatever a call says, if one does.
    #[must_use]
    pub fn forbids_to_all(&self, server: &str, tool: &str) -> Option<String> {
        lint::forbids_to_all(&self.rules, server, tool).map(|rule| rule.reason.id.to_string())
    }

    /// The challenges that nobody can ever meet, so that they forbid.
    #[must_use]
    pub fn never_met(&self, ways: Ways) -> Vec<Problem> {
        let sources: Vec<_> = self.sources.iter().map(|(name, text)| Source { name, text }).collect();
        lint::never_met(&self.rules, &self.roles, ways, &sources)
    }

    /// Whether a policy asks for an approval and does not say of whom.
    #[must_use]
    pub fn asks_for_approval(&self) -> bool {
        let mut asks = self.rules.iter().filter_map(|rule| rule.reason.asks.as_ref());
        asks.any(|asks| asks.challenge == Challenge::Approval && asks.approvers.is_empty())
    }

    /// The rules that read the arguments of a tool.
    fn readers<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = (usize, &'a Rule)> {
        let reading = self.rules.iter().enumerate().filter(|(_, rule)| !rule.reads.input.is_empty());
        reading.filter(|(_, rule)| schema::is_about_tools(rule) && fits(rule, target))
    }

    fn unfit(&self, rule: &Rule, tool: &str, input: &Input) -> Vec<Problem> {
        let sources: Vec<_> = self.sources.iter().map(|(name, text)| Source { name, text }).collect();
        schema::check_tool(&[rule], tool, input, &sources)
    }

    /// Decides.
    #[must_use]
    pub fn decide(
        &self,
        subject: &Subject,
        target: &Target,
        purpose: Purpose,
        circumstances: Circumstances<'_>,
    ) -> Decision {
        let ready = match self.ready(subject, target, purpose) {
            Ok(ready) => ready,
            Err(why) => return Decision::failed(why, Vec::new()),
        };
        if let Some(rule) = self.meant(subject, target, purpose) {
            let why = format!("its URI can be read as several, and policy `{}` tells URIs apart", rule.reason.id);
            return Decision::failed(why, vec![rule.reason.clone()]);
        }
        let slice = &*ready.slice;
        let Some(entities) = &ready.entities else { return Decision::new(self.by_default(), Vec::new()) };
        if purpose == Purpose::Use
            && let Some(rule) =
                target.unfit.iter().find(|number| slice.rules.contains(number)).and_then(|&at| self.rules.get(at))
        {
            let why = format!("policy `{}` does not fit the arguments that the tool declares", rule.reason.id);
            return Decision::failed(why, vec![rule.reason.clone()]);
        }
        match self.request(subject, target, slice, circumstances) {
            Ok(request) => {
                let now = circumstances.now.saturating_mul(1_000);
                self.ask(&request, entities, slice, &|asks| asks.is_met_by(subject.signed_in.as_deref(), now))
            }
            Err(why) => Decision::failed(why, Vec::new()),
        }
    }

    /// Decides about one thing that somebody asks for, without anything made ready for it before.
    #[must_use]
    pub fn decide_once(
        &self,
        principal: &Principal,
        (server, of): (&str, Use<'_>),
        purpose: Purpose,
        circumstances: Circumstances<'_>,
    ) -> Decision {
        let asked = self.subject(principal).and_then(|subject| {
            let target = self.target(server, of).ok_or("what is asked for cannot be expressed")?;
            Ok((subject, target))
        });
        match asked {
            Ok((subject, target)) => self.decide(&subject, &target, purpose, circumstances),
            Err(why) => Decision::failed(why, Vec::new()),
        }
    }

    /// A rule that could be meant for what can be read as several things. For lists, one that hides anything.
    fn meant(&self, subject: &Subject, target: &Target, purpose: Purpose) -> Option<&Rule> {
        target.unclear.as_ref()?;
        let mut bearing = self.rules.iter().filter(|rule| purpose == Purpose::Use || rule.listing.is_some());
        bearing.find(|rule| index::could_be_meant(rule, subject, target, &self.roles))
    }

    fn by_default(&self) -> Outcome {
        match self.otherwise {
            Otherwise::Deny => Outcome::Deny,
            Otherwise::Permit => Outcome::Allow,
        }
    }

    /// Kept for tools that are known: what else is asked for may be ever new.
    fn ready(&self, subject: &Subject, target: &Target, purpose: Purpose) -> Result<Arc<Ready>, String> {
        let key = (subject.number, target.number, purpose);
        if let Some(ready) = self.ready.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(ready));
        }
        let slice = self.slice(subject, target, purpose);
        let entities = if slice.rules.is_empty() {
            None
        } else {
            let entities = target.entities.iter().cloned().chain([subject.entity.clone()]);
            Some(Entities::from_entities(entities, None).map_err(|error| error.to_string())?)
        };
        let made = Arc::new(Ready { slice, entities });
        if target.input().is_some() {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            if ready.len() >= READY {
                ready.clear();
            }
            ready.insert(key, Arc::clone(&made));
        }
        Ok(made)
    }

    fn slice(&self, subject: &Subject, target: &Target, purpose: Purpose) -> Arc<Slice> {
        let key = self.index.key(subject, target, purpose);
        if let Some(slice) = self.slices.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(slice);
        }
        // Made without the lock, for it may take a while.
        let slice = Arc::new(self.index.slice(&self.rules, &key, target));
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if slices.len() >= SLICES {
            slices.clear();
        }
        slices.insert(key, Arc::clone(&slice));
        slice
    }

    fn request(
        &self,
        subject: &Subject,
        target: &Target,
        slice: &Slice,
        circumstances: Circumstances<'_>,
    ) -> Result<Request, String> {
        let mut context = Vec::with_capacity(2);
        if slice.reads_session {
            context.push(("session".to_owned(), session(circumstances, subject.signed_in.as_deref())?));
        }
        if !slice.input.is_empty() {
            let input = target.input().ok_or("the arguments of the tool are not known")?;
            let none = Json::Object(Vec::new());
            let arguments = circumstances.arguments.unwrap_or(&none);
            context.push(("input".to_owned(), input.value(arguments, &slice.input).map_err(|unfit| unfit.0)?));
        }
        let context = Context::from_pairs(context).map_err(|error| error.to_string())?;
        // Without the schema: what it would check of the request is typed here, and checking costs more than deciding.
        Request::new(subject.uid.clone(), target.action.clone(), target.uid.clone(), context, None)
            .map_err(|error| error.to_string())
    }

    /// What both sets say; of what the second asks for, `is_met` tells what is there already.
    fn ask(&self, request: &Request, entities: &Entities, slice: &Slice, is_met: &dyn Fn(&Asks) -> bool) -> Decision {
        let (outcome, reasons) = match self.answer(request, entities, &slice.hard) {
            Ok((Answer::Allow, reasons)) => (Outcome::Allow, reasons),
            Ok((Answer::Deny, reasons)) if reasons.is_empty() => (self.by_default(), reasons),
            Ok((Answer::Deny, reasons)) => (Outcome::Deny, reasons),
            Err(failed) => return failed,
        };
        if outcome == Outcome::Deny {
            return Decision::new(outcome, reasons);
        }
        let permitted_by: Vec<_> = reasons.iter().map(|reason| Arc::clone(&reason.id)).collect();
        if slice.challenge.is_empty() {
            return Decision { permitted_by, ..Decision::new(outcome, reasons) };
        }
        match self.answer(request, entities, &slice.challenge) {
            Ok((_, challenges)) => {
                let is_proven = |reason: &Reason| reason.asks.as_ref().is_some_and(is_met);
                let (proven, challenges): (Vec<_>, Vec<_>) = challenges.into_iter().partition(is_proven);
                if challenges.is_empty() {
                    return Decision { proven, permitted_by, ..Decision::new(outcome, reasons) };
                }
                let kinds = challenges.iter().filter_map(|reason| Some(reason.asks.as_ref()?.challenge));
                // Of several the strictest, which is the last one.
                match kinds.max() {
                    Some(kind) => {
                        Decision { proven, permitted_by, ..Decision::new(Outcome::Challenge(kind), challenges) }
                    }
                    None => Decision::failed("a challenge has no kind", challenges),
                }
            }
            Err(failed) => failed,
        }
    }

    /// The answer of one set; a policy that cannot be evaluated is an answer for nobody.
    fn answer(
        &self,
        request: &Request,
        entities: &Entities,
        set: &PolicySet,
    ) -> Result<(Answer, Vec<Reason>), Decision> {
        let response = self.authorizer.is_authorized(request, set, entities);
        let found = |id: &str| self.rule(id).map(|rule| rule.reason.clone());
        if let Some(error) = response.diagnostics().errors().next() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let reasons = found(error.policy_id().as_ref()).into_iter().collect();
            return Err(Decision::failed(format!("policy `{}` cannot be evaluated", error.policy_id()), reasons));
        }
        let mut reasons: Vec<_> = response.diagnostics().reason().filter_map(|id| found(id.as_ref())).collect();
        reasons.sort_by(|one, other| one.id.cmp(&other.id));
        Ok((response.decision(), reasons))
    }

    fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(*self.by_id.get(id)?)
    }

    /// The text of a policy.
    #[must_use]
    pub fn text(&self, id: &str) -> Option<String> {
        self.rule(id)?.policy.to_cedar()
    }
}

/// As many letters of a digest as tell a few hundred versions apart, and nobody makes two that are alike by chance.
const LETTERS: usize = 16;

fn version(sources: &[Source<'_>], roles: &Roles, otherwise: Otherwise) -> String {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    for source in sources {
        add(source.name);
        add(source.text);
    }
    // Who has which role decides as well.
    add(&format!("{roles:?} {otherwise:?}"));
    let digest = hasher.finalize();
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|half| char::from_digit(half.into(), 16))
        .take(LETTERS)
        .collect()
}

/// Groups of approvers that are not there: nobody could ever agree.
fn unknown_approvers(rules: &[Rule], roles: &Roles, sources: &[Source<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rule in rules {
        for approver in rule.reason.asks.iter().flat_map(|asks| asks.approvers.iter()) {
            if let Err(why) = roles.check_approver(approver)
                && let Some(source) = sources.get(rule.source)
            {
                problems.push(Problem::at(source, rule::offset(&rule.policy), format!("`{}`: {why}", rule.reason.id)));
            }
        }
    }
    problems
}

fn session(of: Circumstances<'_>, signed_in: Option<&SignedIn>) -> Result<RestrictedExpression, String> {
    const NONE: &str = "no calendar has this moment";
    let (text, weekday) = moment(of.now).ok_or(NONE)?;
    let labels = of.labels.iter().map(|label| RestrictedExpression::new_string(label.as_str().to_owned()));
    let methods = signed_in.map_or(&[][..], |signed_in| &signed_in.methods);
    let methods = methods.iter().map(|method| RestrictedExpression::new_string(method.to_string()));
    let mut session = vec![
        ("now".to_owned(), RestrictedExpression::new_datetime(text)),
        ("weekday".to_owned(), RestrictedExpression::new_long(weekday)),
        ("labels".to_owned(), RestrictedExpression::new_set(labels)),
        ("methods".to_owned(), RestrictedExpression::new_set(methods)),
    ];
    if let Some(at) = signed_in.and_then(|signed_in| signed_in.at) {
        let (text, _) = moment(at.div_euclid(1000)).ok_or(NONE)?;
        session.push(("signed_in".to_owned(), RestrictedExpression::new_datetime(text)));
    }
    RestrictedExpression::new_record(session).map_err(|error| error.to_string())
}
