//! Whatever is hidden behind pseudonyms comes back to whoever is entitled to it, and to nobody before: of every kind of personal
//! data that is told, in encodings, and whatever becomes of the store and its keys in between.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "test code")]

use std::path::Path;
use std::sync::Arc;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::PersonalKind;
use bartizan_guard::pseudonym::{self, Root, Token};
use bartizan_guard::{
    Action, CallSummary, Decision, Direction, Event, Evidence, GuardSettings, How, Names, Pins, Pipeline, Principal,
    Revealed, ServerProfile, Session, Settings, Timestamp,
};
use bartizan_mcp::{Limits, Message};
use bartizan_store::pseudonyms::{Keep, New, Scope};
use bartizan_store::{Change, Store};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::json;

const SCOPE: Scope<'static> = Scope { tenant: "tenant", purpose: "default" };
const KEEP: Keep<'static> = Keep { keep_for: i64::MAX / 2, most: 100_000, source: None };
/// Longer than a key is kept that nothing is sealed with any more.
const LATER: i64 = 48 * 3_600_000_000;

/// Something of a kind, in a sentence by which it is told, and how that is written.
#[derive(Debug, Clone)]
struct Placed {
    kind: PersonalKind,
    value: String,
    sentence: String,
    how: u8,
}

/// What happens to the store before anything is given back.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Restart,
    Rotate { reseal: bool },
}

/// The check digits that stand behind others: of what `weights` make, from the first on.
fn with_check(mut digits: String, checks: usize) -> String {
    for _ in 0..checks {
        let weights = (2..).take(digits.len()).collect::<Vec<u32>>();
        let sum: u32 =
            digits.bytes().zip(weights.iter().rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        digits += &(sum * 10 % 11 % 10).to_string();
    }
    digits
}

fn card(others: &str) -> String {
    let doubled = others.bytes().rev().enumerate();
    let doubled = doubled.map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 });
    let sum: u32 = doubled.map(|digit| digit / 10 + digit % 10).sum();
    format!("{others}{}", (10 - sum % 10) % 10)
}

fn iban(account: &str) -> String {
    // `DE` and two zeros behind it, as numbers.
    let remainder = format!("{account}131400").bytes().fold(0, |sum, digit| (sum * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{account}", 98 - remainder)
}

/// Values of each kind, each in a sentence; what cannot be drawn, as its check or a list tells it, is one of a few.
fn values() -> impl Strategy<Value = (PersonalKind, String, &'static str)> {
    use PersonalKind::*;
    let one = |of: &'static [&'static str]| prop::sample::select(of).prop_map(str::to_owned).boxed();
    let drawn = |pattern: &'static str| proptest::string::string_regex(pattern).unwrap().boxed();
    let all: Vec<(PersonalKind, BoxedStrategy<String>, &'static str)> = vec![
        (Email, drawn("[v-z]{3,9}\\.[v-z]{3,9}@[v-z]{4,9}\\.(example|org|com)"), "Please ask {}, they know."),
        (Phone, drawn("\\+49 30 [1-9][0-9]{6}"), "Phone: {}"),
        (Iban, drawn("[0-9]{18}").prop_map(|account| iban(&account)).boxed(), "pay to {} today"),
        (PaymentCard, drawn("4[0-9]{14}").prop_map(|others| card(&others)).boxed(), "card {}"),
        (BankId, drawn("[2-9][0-9]-[1-9][0-9]-[1-9][0-9]"), "sort code {}"),
        (BankAccount, drawn("3[1-9]{7}"), "account number {}"),
        (NationalId, drawn("5[1-9]{2}-[1-9]{2}-[1-9]{4}"), "SSN: {}"),
        (TaxId, drawn("[1-8]2[0-9]{7}").prop_map(|digits| with_check(digits, 2)).boxed(), "CPF: {}"),
        (Passport, drawn("X[1-9]{7}"), "passport no. {}"),
        (DrivingLicence, drawn("[1-9]{2} [1-9]{7}"), "driving licence {}"),
        (HealthId, drawn("00[1-9]{6}"), "MRN: {}"),
        (IpAddress, drawn("(81|93|203)\\.[1-9][0-9]\\.[1-9][0-9]\\.[1-9][0-9]"), "logged in from {}"),
        (MacAddress, drawn("00:1A:2B:[1-9][A-F]:[1-9][A-F]:[1-9][A-F]"), "eth0 {}"),
        (DateOfBirth, drawn("[12][1-8]\\.0[1-9]\\.19[5-9][0-9]"), "born {} in a village"),
        (Date, drawn("[12][1-8] March 20[12][0-9]"), "The meeting was on {} in the office."),
        (PostalAddress, one(&["12 Baker Street, Leeds", "7 Mill Lane, Oxford"]), "Please send it to {}."),
        (PostalCode, one(&["94110"]), "My zip code is {} and I live in San Francisco."),
        (PersonName, one(&["Katarzyna Wiśniewska", "Thomas Brenner"]), "My name is {} and I need help."),
        (Organisation, one(&["Siemens AG"]), "She works for {} now."),
        (Place, one(&["Lisbon", "Lyon"]), "She moved to {} last year."),
        (Url, drawn("https://[v-z]{5}\\.example/[v-z]{4}"), "see {} for more"),
        (UserName, drawn("[v-z]{4}_[1-9]{2}"), "username: {}"),
        (Age, one(&["47"]), "She is {} years old."),
        (Nationality, one(&["German"]), "He is a {} citizen."),
        (Title, one(&["Dr."]), "Dear {} Anna Berger,"),
    ];
    // What an operator finds is theirs to say.
    assert!(PersonalKind::ALL.iter().all(|kind| *kind == Own || all.iter().any(|(told, ..)| told == kind)));
    let each = all.into_iter().map(|(kind, value, said)| value.prop_map(move |value| (kind, value, said)).boxed());
    proptest::strategy::Union::new(each)
}

fn placed() -> impl Strategy<Value = Placed> {
    (values(), 0..10_u8).prop_map(|((kind, value, said), how)| Placed {
        kind,
        sentence: said.replace("{}", &value),
        value,
        how,
    })
}

impl Placed {
    fn text(&self) -> String {
        let said = &self.sentence;
        let each = |spell: fn(u8) -> String| said.bytes().map(spell).collect::<String>();
        let unit = |unit: u16| format!("\\u{unit:04x}");
        match self.how {
            0 => said.clone(),
            1 => json!({"note": said, "n": 1}).to_string(),
            2 => json!({"in": json!({"note": said, "n": "a\nb"}).to_string()}).to_string(),
            3 => format!("```\n[{}, 1.5]\n```", json!(said)),
            4 => format!("in a token: {}", BASE64_STANDARD.encode(format!("a note: {said} and no more"))),
            5 => format!(
                "in a token: {}",
                BASE64_STANDARD.encode(BASE64_STANDARD.encode(format!("a note: {said} and no more")))
            ),
            6 => each(|byte| format!("{byte:02x}")),
            7 => each(|byte| format!("%{byte:02X}")),
            8 => said.encode_utf16().map(unit).collect(),
            _ => said.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        }
    }
}

/// What a value is, however it is written.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The same of all readings of a text.
fn readings(text: &str) -> Vec<String> {
    let views = Views::of(text);
    let all = std::iter::once(text).chain(views.iter().map(|view| view.text())).map(bare);
    all.filter(|read| !read.is_empty()).collect()
}

/// Whether some reading of a text has the value, as words of their own.
fn reads(text: &str, value: &str) -> bool {
    let value = value.to_lowercase();
    let has = |text: &str| {
        text.match_indices(&value).any(|(at, found)| {
            let alone = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            alone(text[..at].chars().next_back()) && alone(text[at + found.len()..].chars().next())
        })
    };
    Views::of(text).iter().any(|view| has(&view.text().to_lowercase()))
}

/// The place of the store, with what is open of it.
struct Place {
    directory: tempfile::TempDir,
    store: Store,
    now: i64,
}

impl Place {
    async fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let store = Place::open(directory.path()).await;
        Place { directory, store, now: 1 }
    }

    async fn open(directory: &Path) -> Store {
        Store::open(&directory.join("state.db")).await.unwrap()
    }

    fn change(&self) -> Change {
        Change { by: "bartizan".to_owned(), at: self.now }
    }

    /// What makes names, by the key that the store has.
    async fn names(&self) -> Names {
        let root = Root::new(&self.store.naming_key(SCOPE.tenant, &self.change()).await.unwrap());
        Names::new(Arc::new(root.namer(SCOPE.tenant, SCOPE.purpose)))
    }

    async fn goes_through(&mut self, what: Meanwhile) {
        self.now += LATER;
        match what {
            Meanwhile::Restart => {
                self.store.close().await;
                self.store = Place::open(self.directory.path()).await;
            }
            // As `bartizan key rotate-master` does.
            Meanwhile::Rotate { reseal } => {
                self.store.rotate_master(None, reseal, &self.change()).await.unwrap();
            }
        }
    }
}

fn judge(message: &Message, evidence: &[Evidence]) -> bartizan_guard::Verdict {
    let also: Vec<_> = PersonalKind::ALL.iter().filter(|kind| !kind.by_itself()).map(|kind| kind.as_str()).collect();
    let held = GuardSettings {
        action: Some(Action::Redact),
        how: How::Pseudonymise,
        options: json!({"confidence": 0.4, "also": also}),
        ..GuardSettings::default()
    };
    let settings = Settings { guards: [("personal_data".to_owned(), held)].into(), ..Settings::default() };
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find"}}"#;
    let call = CallSummary::of(&Message::parse(call.to_owned(), &Limits::default()).unwrap()).unwrap();
    let server = ServerProfile { name: "crm".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) };
    let event = Event {
        message,
        direction: Direction::ToClient,
        answers: Some(&call),
        principal: &Principal::new("anonymous"),
        server: &server,
        evidence,
        grant: None,
        now: Timestamp(0),
    };
    Pipeline::new(settings).unwrap().judge(&event, &Session::default())
}

/// What the argument of a call is once it was given back what that store has for its names.
async fn given_back(place: &Place, token: Token) -> Option<String> {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"to": token.to_string()}}});
    let call = Message::parse(call.to_string(), &Limits::default()).unwrap();
    let tokens = place.names().await.in_arguments(&call);
    let ids: Vec<_> = tokens.iter().map(Token::id).collect();
    let values = place.store.reveal(SCOPE, &ids, place.now).await.unwrap();
    let known = tokens.iter().zip(&values).filter_map(|(token, value)| Some((*token, value.as_ref()?.as_str())));
    let given = Revealed::new(known).in_arguments(&call).unwrap();
    let got = call.edited(&given.edits, &Limits::default()).unwrap();
    let got = got.params().unwrap().at(&["arguments", "to"]).unwrap().text().into_owned();
    (got != token.to_string()).then_some(got)
}

async fn comes_back(all: &[Placed], meanwhile: &[Meanwhile]) -> Result<(), TestCaseError> {
    let mut place = Place::new().await;
    let texts: Vec<String> = all.iter().map(Placed::text).collect();
    let result = json!({"content": [{"type": "text", "text": texts.join("\n\n")}]});
    let message = Message::parse(json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string(), &Limits::default());
    let message = message.unwrap();
    let verdict = judge(&message, &[Evidence::Names(place.names().await)]);
    let Decision::Transform(edits) = &verdict.decision else {
        return Err(TestCaseError::fail(format!("{:?}", verdict.decision)));
    };
    let edited = message.edited(edits, &Limits::default()).unwrap();
    for held in all {
        let left = edited.parts().map(|part| part.text().into_owned()).find(|text| reads(text, &held.value));
        prop_assert!(left.is_none(), "{held:?} in {left:?}");
        // In the place of what is encoded there is no name: it would be given back as something else.
        let is_encoded = (4..=6).contains(&held.how);
        let is_kept = |value: &str| {
            let (kept, meant) = (readings(value), readings(&held.value));
            kept.iter().any(|kept| meant.iter().any(|meant| kept.contains(meant) || meant.contains(kept)))
        };
        prop_assert!(
            is_encoded || verdict.pseudonyms.iter().any(|kept| is_kept(&kept.value)),
            "{}, {held:?}: {:?}",
            held.kind.as_str(),
            verdict.pseudonyms
        );
    }
    let new: Vec<_> = verdict
        .pseudonyms
        .iter()
        .map(|held| New {
            token: held.token.id(),
            kind: held.token.kind().as_str(),
            subject: held.subject.as_ref().map(Token::id),
            value: &held.value,
        })
        .collect();
    place.store.put_pseudonyms(SCOPE, &new, KEEP, &place.change()).await.unwrap();
    for what in meanwhile {
        place.goes_through(*what).await;
    }
    // What the model may have seen of it, it may say.
    let shown = String::from_utf8(edited.bytes().to_vec()).unwrap();
    for (_, token) in pseudonym::find(&shown) {
        prop_assert!(verdict.pseudonyms.iter().any(|held| held.token == token), "{token} stands for nothing");
    }
    for held in &verdict.pseudonyms {
        let got = given_back(&place, held.token).await;
        prop_assert_eq!(got.as_deref(), Some(&*held.value), "{}", held.token);
    }
    // The twin: a name that another store made stands for nothing here.
    let other = Place::new().await;
    for held in verdict.pseudonyms.iter().take(1) {
        prop_assert_eq!(given_back(&other, held.token).await, None);
    }
    Ok(())
}

proptest! {
    // Each makes two stores.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_hidden_comes_back_across_restarts_and_new_keys(
        all in proptest::collection::vec(placed(), 1..5),
        meanwhile in proptest::collection::vec(
            prop_oneof![Just(Meanwhile::Restart), any::<bool>().prop_map(|reseal| Meanwhile::Rotate { reseal })], 0..4,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(comes_back(&all, &meanwhile))?;
    }
}
