//! **Threat.** What says something about a person goes further than it has to: a whole customer record into a context that
//! somebody else's model reads, a colleague's number into the arguments of a server that has no use for it. Once it is there it
//! is in answers, in logs and in the next tool's arguments, and nobody gets it back.
//!
//! An operator says what is done with which kind, which way, at which server, tool and place; without a table of settings nothing is
//! looked for, and without an action what is found is recorded. What is redacted can be *pseudonymised*: the model gets a name that stands for
//! the value and is the same each time. A tool that is entitled gets the value back, and any other the name. What a name stands
//! for is kept before it leaves the gateway; if it cannot be, the message does not.
//!
//! In records the names of people are told by what their fields are called (`fields`).
//!
//! What is found in one place of a message is looked for in all others, also in encodings: most servers say everything twice, once as
//! text and once as data, and a name that a sentence tells is told by no field.
//!
//! What a server was given back for a pseudonym is looked for, as it is, in all that it says afterwards (`told`).
//!
//! A finding says what kind of data it is and where it stands, and nothing of it.
//!
//! **What this is not:** anonymisation. Who has the vault has the values; and what nobody recognises passes.

mod fields;
mod options;
mod spread;
mod told;
#[cfg(test)]
mod tests;
mod texts;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::{Found, Personal, PersonalKind, normal};
use bartizan_mcp::{Document, NodeKind, PartKind, text_digest};
use bartizan_pseudonym::{Kind, Number, Token};
use serde::Deserialize;
use serde::de::Error;

pub(crate) use self::options::of;
pub use self::options::{Options, entitled, servers};
use self::spread::Spread;
use self::texts::{Text, texts};
use super::prompt_injection::RulesProblem;
use super::{Guard, GuardSpec, LooksAt, RuleSpec};
use crate::embedded::{Embedded, documents};
use crate::lately::{self, Lately};
use crate::told::Told;
use crate::{
    Action, Confidence, Direction, Event, Evidence, Finding, Names, Pseudonym, Report, Session, Severity, note, numeral,
};

/// Specification of the guard.
pub const SPEC: GuardSpec = GuardSpec {
    name: "personal_data",
    threat: "What says something about a person goes to a model or a server that has no need of it.",
    rules: &RULES,
    actions: &[Action::Observe, Action::Redact, Action::Approve, Action::Deny],
    skips: SKIPS,
    looks_at: LooksAt::Else("Texts and long numbers, if the configuration has a table for it; without one at nothing."),
    // What was no personal data beside a name is none beside what stands in the place of the name.
    sees_edited: false,
    raises: &[],
    options: || schemars::schema_for!(Options),
    build: |options, settings| {
        let options = Options::deserialize(options)?.checked().map_err(Error::custom)?;
        let personal = recognisers(options.recognisers_file.as_deref()).map_err(Error::custom)?;
        let held = settings.guards.get(SPEC.name);
        let (is_set, preserves) = (held.is_some(), held.is_some_and(options::preserves));
        Ok(Box::new(PersonalData { is_set, preserves, options, personal, clean: Lately::default() }))
    },
};

const BY_AUTHOR: &str = "The author of the server wrote it, for everybody.";
const SKIPS: &[(PartKind, &str)] = &[
    (PartKind::ToolDefinition, BY_AUTHOR),
    (PartKind::PromptDefinition, BY_AUTHOR),
    (PartKind::ResourceDefinition, BY_AUTHOR),
    (PartKind::Instructions, BY_AUTHOR),
    (PartKind::Metadata, "Programs read it, and models do not."),
    (PartKind::Other, "Names, URIs, cursors and states are looked up by who made them; others would be meant."),
];

const fn rule(id: &'static str, severity: Severity, summary: &'static str) -> RuleSpec {
    RuleSpec::new(id, severity, Action::Observe, summary)
}

/// One for each kind, by the name of the kind.
static RULES: [RuleSpec; 27] = [
    rule("personal_data.email", Severity::Low, "The text holds an address of e-mail."),
    rule("personal_data.phone", Severity::Low, "The text holds the number of a telephone."),
    rule("personal_data.iban", Severity::Medium, "The text holds the number of a bank account (IBAN)."),
    rule("personal_data.payment_card", Severity::High, "The text holds the number of a payment card."),
    rule("personal_data.bank_id", Severity::Info, "The text holds the number of a bank."),
    rule("personal_data.bank_account", Severity::Medium, "The text holds the number of a bank account."),
    rule("personal_data.national_id", Severity::High, "The text holds a number that a country gives a person."),
    rule("personal_data.tax_id", Severity::High, "The text holds a number under which taxes are paid."),
    rule("personal_data.passport", Severity::High, "The text holds the number of a passport."),
    rule("personal_data.driving_licence", Severity::Medium, "The text holds the number of a driving licence."),
    rule("personal_data.health_id", Severity::High, "The text holds the number of a patient or of somebody insured."),
    rule("personal_data.ip_address", Severity::Info, "The text holds an address of the Internet Protocol."),
    rule("personal_data.mac_address", Severity::Info, "The text holds an address of a network card."),
    rule("personal_data.date_of_birth", Severity::Medium, "The text says when somebody was born."),
    rule("personal_data.date", Severity::Info, "The text holds a date."),
    rule("personal_data.postal_address", Severity::Low, "The text says where somebody lives or is written to."),
    rule("personal_data.postal_code", Severity::Info, "The text holds the number of a town for the post."),
    rule("personal_data.person_name", Severity::Low, "The text holds the name of a person."),
    rule("personal_data.organisation", Severity::Info, "The text holds the name of a company or another body."),
    rule("personal_data.place", Severity::Info, "The text holds the name of a town, a region or a country."),
    rule("personal_data.url", Severity::Info, "The text holds an address of the web."),
    rule("personal_data.user_name", Severity::Low, "The text says under which name somebody has an account."),
    rule("personal_data.age", Severity::Info, "The text says how old somebody is."),
    rule("personal_data.nationality", Severity::Info, "The text says to which people or country somebody belongs."),
    rule("personal_data.title", Severity::Info, "The text says how somebody is addressed, or what they work as."),
    CUSTOM.holds_others(),
    told::GIVEN_BACK,
];

const CUSTOM: RuleSpec =
    rule("personal_data.custom", Severity::Medium, "The text holds what a recogniser of the operator's finds.");

fn rule_of(kind: PersonalKind) -> Option<&'static RuleSpec> {
    let name = if kind == PersonalKind::Own { "custom" } else { kind.as_str() };
    RULES.iter().find(|rule| rule.id.strip_prefix(SPEC.name).and_then(|rest| rest.strip_prefix('.')) == Some(name))
}

fn recognisers(toml: Option<&str>) -> Result<Arc<Personal>, RulesProblem> {
    toml.map_or_else(|| Ok(Personal::built_in()), |toml| Personal::with_own(toml).map(Arc::new))
}

/// The ids by which settings name the operator's own recognisers.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn own_recognisers(toml: Option<&str>) -> Result<Vec<String>, RulesProblem> {
    let Some(toml) = toml else { return Ok(Vec::new()) };
    Ok(Personal::with_own(toml)?.own().map(own_id).collect())
}

/// What settings call a recogniser of the operator's, whose own name begins with `custom.`.
fn own_id(name: &str) -> String {
    format!("{}.{}", CUSTOM.id, name.strip_prefix("custom.").unwrap_or(name))
}

struct PersonalData {
    /// Whether there is a table for it.
    is_set: bool,
    /// Whether numbers are to stand for numbers anywhere.
    preserves: bool,
    options: Options,
    personal: Arc<Personal>,
    /// Texts in which there was nothing.
    clean: Lately<()>,
}

/// Shorter texts are looked at sooner than they are looked up.
const REMEMBERED: usize = 64;
/// With fewer digits a number that is written without what separates them is too often another one.
const SHORTEST_SPREAD: usize = 7;
/// Longer ones say what they are themselves, and not only by the key that they stand behind.
const LONGEST_FIELD: usize = 200;

impl Guard for PersonalData {
    fn inspect(&self, event: &Event<'_>, _: &Session, report: &mut Report) {
        if !self.is_set {
            return;
        }
        let texts = texts(event);
        let mut held = Held::of(event, self.preserves);
        for (at, text) in texts.iter().enumerate().filter(|(_, text)| text.is_told) {
            self.look(at, text, &mut held);
        }
        self.look_at_fields(event, &texts, &mut held);
        held.spread(&texts);
        held.keep_apart(&texts);
        held.report(&texts, report);
        told::look(event, report);
    }
}

impl PersonalData {
    /// Notes what is found in one text.
    fn look(&self, at: usize, text: &Text<'_>, held: &mut Held) {
        let prefix = text.key.as_deref().filter(|_| text.text.len() <= LONGEST_FIELD).map(words).unwrap_or_default();
        let whole: Cow<'_, str> = match prefix.is_empty() {
            true => Cow::Borrowed(&text.text),
            false => Cow::Owned(format!("{prefix}{}", text.text)),
        };
        let key = (whole.len() >= REMEMBERED).then(|| lately::key(text_digest(&whole), SPEC.name));
        if key.as_ref().is_some_and(|key| self.clean.get(key).is_some()) {
            return;
        }
        // Pseudonyms are no data, whoever made them up; nor is what was given back to who gets the call.
        let tokens = Covered::by_tokens(&whole);
        let given = held.passed_over(text);
        let found = self.personal.look(&Views::of(&whole));
        if let Some(key) = key.filter(|_| found.is_empty()) {
            self.clean.put(key, ());
        }
        for mut found in found {
            let is_sure = f32::from(found.confidence) >= self.options.confidence * 1000.0;
            if !is_sure || !self.options.looks_for(found.kind) {
                continue;
            }
            let all = std::iter::once(found.span.clone()).chain(std::mem::take(&mut found.also));
            // What begins in the words of the key is no part of the text.
            let all = all.filter(|span| span.start >= prefix.len() && !tokens.reach(span));
            let within = all.map(|span| span.start - prefix.len()..span.end - prefix.len());
            let spans: Vec<_> = within.filter(|span| !given.reach(span)).collect();
            held.told(text, &spans);
            if !spans.is_empty() {
                held.add(at, text, &found, spans);
            }
        }
    }
}

impl PersonalData {
    /// Notes the names that fields tell, in data and in JSON within texts.
    fn look_at_fields(&self, event: &Event<'_>, texts: &[Text<'_>], held: &mut Held) {
        let data: BTreeMap<u32, u16> =
            texts::records(event).flat_map(fields::names).map(|(value, sure)| (value.id().index(), sure)).collect();
        let mut last: Option<(u32, ByStart)> = None;
        // The parts of a text come before it, and so behind it here.
        for (at, text) in texts.iter().enumerate().rev().filter(|(_, text)| text.value.kind() == NodeKind::String) {
            let (id, whole) = (text.value.id().index(), 0..text.text.len());
            if text.part.is_none() {
                last = Some((id, within(&text.text)));
            }
            let found = last.as_ref().filter(|(of, _)| *of == id).map(|(_, found)| found);
            let named: Vec<(Range<usize>, u16)> = match &text.part {
                Some(texts::Part::Number(_)) => continue,
                Some(texts::Part::Text(part)) => {
                    let sure = found.and_then(|found| found.get(&part.span.start)).map(|(_, sure)| *sure);
                    sure.map(|sure| (whole, sure)).into_iter().collect()
                }
                None => {
                    let inner = |(span, sure): &(Range<usize>, u16)| (span.start + 1..span.end.saturating_sub(1), *sure);
                    let inner = found.into_iter().flat_map(BTreeMap::values).map(inner);
                    // What has escapes in it is a part of its own.
                    let inner = inner.filter(|(span, _)| text.text.get(span.clone()).is_some_and(|held| !held.contains('\\')));
                    data.get(&id).map(|sure| (whole, *sure)).into_iter().chain(inner).collect()
                }
            };
            self.named(at, text, named, held);
        }
    }

    /// Notes those of them that are not known already and were not given back.
    fn named(&self, at: usize, text: &Text<'_>, named: Vec<(Range<usize>, u16)>, held: &mut Held) {
        if named.is_empty() {
            return;
        }
        let places = held.places.get(&at).map(Vec::as_slice).unwrap_or_default();
        let known: BTreeSet<(usize, usize)> = places.iter().map(|place| (place.span.start, place.span.end)).collect();
        let given = held.passed_over(text).0.into_iter().chain(Covered::by_tokens(&text.text).0);
        let given = Covered::of(given.collect());
        for (span, confidence) in named {
            let Some(written) = text.text.get(span.clone()) else { continue };
            let value = written.trim();
            let start = span.start + (written.len() - written.trim_start().len());
            let span = start..start + value.len();
            let is_sure = f32::from(confidence) >= self.options.confidence * 1000.0;
            if !is_sure || known.contains(&(span.start, span.end)) || given.reach(&span) {
                continue;
            }
            let found = Found {
                kind: PersonalKind::PersonName,
                name: "field",
                country: None,
                span: span.clone(),
                also: Vec::new(),
                how: Vec::new(),
                value: value.into(),
                confidence,
            };
            held.told(text, std::slice::from_ref(&span));
            held.add(at, text, &found, vec![span]);
        }
    }
}

/// Strings by where they begin, and how sure it is that they are names.
type ByStart = BTreeMap<usize, (Range<usize>, u16)>;

/// The names that fields tell in JSON within a text.
fn within(text: &str) -> ByStart {
    if !text.contains('{') || !text.contains('"') {
        return BTreeMap::new();
    }
    let documents = documents(text);
    let of = |(start, document): &(usize, Document)| {
        let all = fields::names(document.root()).into_iter();
        all.map(|(value, sure)| {
            let span = start + value.span().start..start + value.span().end;
            (span.start, (span, sure))
        })
        .collect::<Vec<_>>()
    };
    documents.iter().flat_map(of).collect()
}

/// Parts of a text, apart from each other and in order, so that to ask about one takes no look at all of them.
struct Covered(Vec<Range<usize>>);

impl Covered {
    fn of(mut spans: Vec<Range<usize>>) -> Covered {
        spans.sort_unstable_by_key(|span| (span.start, span.end));
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(spans.len());
        for span in spans {
            match apart.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => apart.push(span),
            }
        }
        Covered(apart)
    }

    fn by_tokens(text: &str) -> Covered {
        Covered::of(bartizan_pseudonym::find(text).into_iter().map(|(span, _)| span).collect())
    }

    /// Whether one of them and that part have something in common.
    fn reach(&self, span: &Range<usize>) -> bool {
        let next = self.0.partition_point(|held| held.end <= span.start);
        self.0.get(next).is_some_and(|held| held.start < span.end)
    }
}

/// A key as words in front of what it says, such as `phone number: ` for `phoneNumber`.
fn words(key: &str) -> String {
    let mut words = String::with_capacity(key.len() + 4);
    let mut was_small = false;
    for character in key.chars().take(LONGEST_FIELD) {
        if character.is_uppercase() && was_small {
            words.push(' ');
        }
        was_small = character.is_lowercase();
        words.push(if character.is_alphanumeric() { character.to_ascii_lowercase() } else { ' ' });
    }
    words.push_str(": ");
    words
}

/// What was found in a message, by what it is.
#[derive(Default)]
struct Held {
    names: Option<Names>,
    /// Whether numbers are to stand for numbers.
    preserves: bool,
    /// The pseudonyms of whose values a call is full because its tool is entitled to them.
    revealed: BTreeSet<Token>,
    /// Where those stand, by the position of the text or number.
    given: BTreeMap<u32, Covered>,
    /// Where something was found in parts of texts, likewise.
    told: BTreeMap<u32, Vec<Range<usize>>>,
    /// Numbers that were handed out before in the place of others.
    standing: Arc<[Box<str>]>,
    /// The same in the normal forms of each kind that was asked for.
    standing_forms: BTreeMap<PersonalKind, BTreeSet<String>>,
    /// What the server was given back, which has its name already.
    known_again: Option<Arc<Told>>,
    /// What JSON the text has that was looked at last.
    embedded: Option<(usize, Embedded)>,
    values: Vec<Datum>,
    /// By kind and normal form.
    known: BTreeMap<(PersonalKind, String), usize>,
    /// Where they stand, by text.
    places: BTreeMap<usize, Vec<Place>>,
}

/// One value.
struct Datum {
    kind: PersonalKind,
    own: Option<String>,
    value: Box<str>,
    token: Option<Token>,
    /// What may stand in the place of its name.
    number: Option<Number>,
    confidence: u16,
}

impl Datum {
    /// It as it is looked for elsewhere: as it stands, and of a number its digits without what separates them.
    fn spellings(&self) -> Vec<Cow<'_, str>> {
        let mut all = vec![Cow::Borrowed(&*self.value)];
        let form = form(self.kind, &self.value);
        // Whatever it is taken for, where there is no letter in it it may be written as one number.
        let compact = match is_number(self.kind) {
            true => form.strip_prefix('+').unwrap_or(&form).to_owned(),
            false if form.chars().any(char::is_alphabetic) => return all,
            false => bartizan_pseudonym::digits(&form),
        };
        if compact != *self.value && bartizan_pseudonym::digits(&compact).len() >= SHORTEST_SPREAD {
            all.push(Cow::Owned(compact));
        }
        all
    }
}

fn is_number(kind: PersonalKind) -> bool {
    Kind::parse(kind.as_str()).is_some_and(Kind::has_numbers)
}

/// Where a value stands in a text.
struct Place {
    datum: usize,
    span: Range<usize>,
    is_encoded: bool,
}

/// The value as its pseudonym is made of it. Spellings of one number or address have one; words that are written otherwise may be
/// somebody else's name, and have another.
#[must_use]
pub fn form(kind: PersonalKind, value: &str) -> String {
    // Digits of other scripts would be left out of what distinguishes it.
    let is_foreign = is_number(kind) && value.chars().any(|c| c.is_numeric() && !c.is_ascii_digit());
    match kind {
        _ if is_foreign => value.split_whitespace().collect::<Vec<_>>().join(" "),
        PersonalKind::Email
        | PersonalKind::Phone
        | PersonalKind::PaymentCard
        | PersonalKind::Iban
        | PersonalKind::BankAccount
        | PersonalKind::BankId
        | PersonalKind::NationalId
        | PersonalKind::TaxId
        | PersonalKind::Passport
        | PersonalKind::DrivingLicence
        | PersonalKind::HealthId
        | PersonalKind::IpAddress
        | PersonalKind::MacAddress => normal(kind, value),
        _ => value.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// An address as it is where it is no part of a URL.
fn plain(kind: PersonalKind, value: &str) -> Cow<'_, str> {
    if kind == PersonalKind::Email && value.contains("%40") { value.replace("%40", "@").into() } else { value.into() }
}

/// A value as it is meant that is written within a string of JSON in a text, with escapes for some of it. What the text holds is read
/// once, however much is found in it.
fn meant<'v>(
    read: &mut Option<(usize, Embedded)>,
    (at, text): (usize, &str),
    place: usize,
    written: &'v str,
) -> Cow<'v, str> {
    if !written.contains('\\') {
        return Cow::Borrowed(written);
    }
    let embedded = match read {
        Some((held, embedded)) if *held == at => embedded,
        _ => &read.insert((at, Embedded::of(text))).1,
    };
    let depth = embedded.depth(place);
    let read = |value: &str| serde_json::from_str::<String>(&format!("\"{value}\"")).ok();
    let value = (0..depth).try_fold(written.to_owned(), |value, _| read(&value));
    value.map_or(Cow::Borrowed(written), Cow::Owned)
}

impl Held {
    fn of(event: &Event<'_>, preserves: bool) -> Held {
        let told = Told::of_event(event).filter(|_| event.direction == Direction::ToClient).cloned();
        let mut held = Held { names: Names::of(event), preserves, known_again: told, ..Held::default() };
        for evidence in event.evidence {
            match evidence {
                Evidence::Revealed(tokens) => held.revealed.extend(tokens.iter().copied()),
                Evidence::Standing(numbers) => held.standing = Arc::clone(numbers),
                Evidence::Given(places) => {
                    let mut by_value: BTreeMap<u32, Vec<Range<usize>>> = BTreeMap::new();
                    for (at, place) in places.iter() {
                        by_value.entry(*at).or_default().push(place.clone());
                    }
                    held.given = by_value.into_iter().map(|(at, places)| (at, Covered::of(places))).collect();
                }
                _ => {}
            }
        }
        held
    }

    /// What of a text is passed over: what was given back to whoever gets the call, and what was found in a part of it as that
    /// is meant.
    fn passed_over(&self, text: &Text<'_>) -> Covered {
        let at = text.value.id().index();
        let held = self.given.get(&at);
        let is_given = |part: &Range<usize>| held.is_some_and(|held| held.reach(part));
        let given = held.map(|held| held.0.as_slice()).unwrap_or_default();
        match &text.part {
            Some(part) if !is_given(part.span()) => Covered(Vec::new()),
            None if text.value.kind() != NodeKind::Number || given.is_empty() => {
                Covered::of(given.iter().chain(self.told.get(&at).into_iter().flatten()).cloned().collect())
            }
            _ => Covered::of(std::iter::once(0..text.text.len()).collect()),
        }
    }

    /// Notes where something was found in a part of a text.
    fn told(&mut self, text: &Text<'_>, spans: &[Range<usize>]) {
        if let Some(part) = text.part.as_ref().filter(|_| !spans.is_empty()) {
            self.told.entry(text.value.id().index()).or_default().extend(spans.iter().map(|span| part.place(span)));
        }
    }

    /// Whether it was handed out before in the place of another number, and so is no data.
    fn stands_for_another(&mut self, kind: PersonalKind, form: &str) -> bool {
        if self.standing.is_empty() {
            return false;
        }
        let standing = &self.standing;
        let forms = self.standing_forms.entry(kind);
        forms.or_insert_with(|| standing.iter().map(|number| self::form(kind, number)).collect()).contains(form)
    }

    fn add(&mut self, at: usize, text: &Text<'_>, found: &Found<'_>, spans: Vec<Range<usize>>) {
        let is_encoded = !found.how.is_empty();
        let written = plain(found.kind, &found.value);
        let place = spans.first().map_or(0, |span| span.start);
        let value = if is_encoded { Cow::Borrowed(&*written) } else { meant(&mut self.embedded, (at, &text.text), place, &written) };
        let form = form(found.kind, &value);
        let kind = Kind::parse(found.kind.as_str());
        let names = self.names.as_ref().zip(kind);
        let token = names.map(|(names, kind)| names.name(kind, &form));
        let number = names.filter(|_| self.preserves).and_then(|(names, kind)| names.number(kind, &form));
        let like = self.known_again.as_ref().filter(|_| token.is_some()).and_then(|told| told.like(&value));
        let known = like.map(|held| held.token);
        let token = known.or(token);
        if token.is_some_and(|token| self.revealed.contains(&token)) || self.stands_for_another(found.kind, &form) {
            return;
        }
        let next = self.values.len();
        let datum = *self.known.entry((found.kind, form)).or_insert(next);
        match self.values.get_mut(datum) {
            Some(held) => held.confidence = held.confidence.max(found.confidence),
            None => self.values.push(Datum {
                kind: found.kind,
                own: (found.kind == PersonalKind::Own).then(|| own_id(found.name)),
                value: value.into(),
                token,
                number,
                confidence: found.confidence,
            }),
        }
        self.places.entry(at).or_default().extend(spans.into_iter().map(|span| Place { datum, span, is_encoded }));
    }

    /// Adds the other places of all values.
    fn spread(&mut self, texts: &[Text<'_>]) {
        let values = self.values.iter().enumerate().flat_map(|(at, datum)| {
            datum.spellings().into_iter().map(move |value| (at, value))
        });
        let Some(spread) = Spread::of(values) else { return };
        for (at, text) in texts.iter().enumerate() {
            let given = self.passed_over(text).0;
            let held = self.places.entry(at).or_default();
            let known = held.iter().map(|place| place.span.clone()).chain(given);
            let known = Covered::of(known.chain(Covered::by_tokens(&text.text).0).collect());
            let mut found = spread.look(&text.text);
            found.retain(|place| !known.reach(&place.span));
            // What stands in the text itself goes before what says the same in an encoding of more of it.
            found.sort_by_key(|place| (place.span.start, place.is_encoded, place.span.end));
            let mut end = 0;
            for place in found {
                if place.span.start >= end {
                    end = place.span.end;
                    if let Some(part) = &text.part {
                        self.told.entry(text.value.id().index()).or_default().push(part.place(&place.span));
                    }
                    held.push(Place { datum: place.which, span: place.span, is_encoded: place.is_encoded });
                }
            }
        }
    }

    /// Has names stand for what a number would stand for that stands in the message already: it would be taken for the other one.
    fn keep_apart(&mut self, texts: &[Text<'_>]) {
        let mut made: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, datum) in self.values.iter().enumerate() {
            if let Some(number) = &datum.number {
                made.entry(number.digits()).or_default().push(at);
            }
        }
        if made.is_empty() {
            return;
        }
        let mut taken: BTreeSet<usize> = made.values().filter(|all| all.len() > 1).flatten().copied().collect();
        for text in texts {
            numeral::each_window(&text.text, |range| {
                let digits = bartizan_pseudonym::digits(text.text.get(range).unwrap_or_default());
                taken.extend(made.get(&digits).into_iter().flatten());
            });
        }
        for at in taken {
            self.values.get_mut(at).into_iter().for_each(|datum| datum.number = None);
        }
    }

    fn report(self, texts: &[Text<'_>], report: &mut Report) {
        for (at, places) in self.places {
            let Some(text) = texts.get(at) else { continue };
            let mut by_value: BTreeMap<(usize, bool), Vec<Range<usize>>> = BTreeMap::new();
            for place in places {
                by_value.entry((place.datum, place.is_encoded)).or_default().push(place.span);
            }
            for ((datum, is_encoded), mut spans) in by_value {
                let Some(datum) = self.values.get(datum) else { continue };
                spans.sort_by_key(|span| span.start);
                if let Some(finding) = finding(text, datum, is_encoded, spans) {
                    report.find(finding);
                }
            }
        }
    }
}

fn finding(text: &Text<'_>, datum: &Datum, is_encoded: bool, spans: Vec<Range<usize>>) -> Option<Finding> {
    let rule = rule_of(datum.kind)?;
    let place = |span| text.part.as_ref().map_or_else(|| Range::clone(&span), |part| part.place(&span));
    let mut spans: Vec<Range<usize>> = spans.into_iter().map(place).collect();
    spans.dedup();
    let mut spans = spans.into_iter();
    let first = spans.next()?;
    let hidden = if is_encoded { " It is in an encoding." } else { "" };
    let why = format!("{}{hidden}", rule.summary);
    let mut finding = Finding::about(rule, text.value, text.kind, why).by_own(datum.own.as_deref());
    finding.element = text.element;
    // Without a key the member would be another one.
    finding.span = (text.value.kind() != NodeKind::Key).then_some(first);
    finding.also = spans.collect();
    finding.confidence = Confidence::from_thousandths(datum.confidence);
    finding.replacement = Some(note::of(datum.own.as_deref().unwrap_or(rule.id)).into());
    // A name in the place of what is encoded would be given back as something else.
    let token = datum.token.filter(|_| !is_encoded);
    let number = datum.number.clone();
    finding.pseudonym = token.map(|token| Pseudonym { number, ..Pseudonym::of(token, datum.value.clone()) });
    Some(finding)
}
