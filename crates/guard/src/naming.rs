//! What makes pseudonyms for a message, what one is to stand for, and how a call gets that back.

mod quotes;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bartizan_detect::personal::PersonalKind;
use bartizan_mcp::{Edits, Message, NodeKind, Value, quote};
use bartizan_pseudonym::{Kind, Namer, Number, Root, Token, written_as};
use thiserror::Error;

use self::quotes::{Quotes, needs_escapes};
use crate::embedded::Embedded;
use crate::guards::personal_data::form;
use crate::{Event, Evidence, numeral};

/// What makes the names of one tenant for one purpose, for as long as a message is judged.
#[derive(Clone)]
pub struct Names(Arc<Namer>);

impl Names {
    /// Those that this one makes.
    #[must_use]
    pub fn new(namer: Arc<Namer>) -> Names {
        Names(namer)
    }

    /// Names that stand for nothing: a message that is judged again, elsewhere and later, is judged without anybody's key.
    #[must_use]
    pub(crate) fn stand_in() -> Names {
        Names(Arc::new(Root::new(&[0; 32]).namer("nobody", "nothing")))
    }

    /// The name of that data.
    #[must_use]
    pub fn name(&self, kind: Kind, normal_form: &str) -> Token {
        self.0.name(kind, normal_form)
    }

    /// The name of a value as it is written.
    #[must_use]
    pub fn name_of(&self, kind: Kind, value: &str) -> Option<Token> {
        Some(self.0.name(kind, &form(personal(kind)?, value)))
    }

    /// The number that stands for a value as it is written, if one of its kind may.
    #[must_use]
    pub(crate) fn number_of(&self, kind: Kind, value: &str) -> Option<Number> {
        self.number(kind, &form(personal(kind)?, value))
    }

    /// The number that stands for that one, if one of its kind may.
    #[must_use]
    pub fn number(&self, kind: Kind, normal_form: &str) -> Option<Number> {
        self.0.number(kind, normal_form)
    }

    /// Under which names it is kept what a number stands for, if it was made here, as each of these kinds.
    pub fn kept_under(&self, number: &str, kinds: impl IntoIterator<Item = Kind>) -> impl Iterator<Item = Token> {
        kinds.into_iter().flat_map(move |kind| {
            let form = personal(kind).map(|personal| form(personal, number)).filter(|form| !form.is_empty());
            // What is written for abroad is a number of JSON without its plus.
            let abroad = form.as_ref().filter(|form| kind == Kind::Phone && !form.starts_with('+'));
            let abroad = abroad.map(|form| format!("+{form}"));
            form.into_iter().chain(abroad).map(move |form| self.0.number_token(kind, &form))
        })
    }

    /// Those in the arguments of a call that were made here, each once.
    #[must_use]
    pub fn in_arguments(&self, call: &Message) -> Vec<Token> {
        let mut found: Vec<Token> = Vec::new();
        for text in arguments(call) {
            found.extend(self.0.find(&text.text()).into_iter().map(|(_, token)| token));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Under which names it would be kept what the numbers in the arguments of a call stand for, each as one of these kinds;
    /// whether one does, only who keeps them knows.
    ///
    /// # Errors
    /// If there are more than can be looked up.
    pub fn numbers_in_arguments(&self, call: &Message, kinds: &[Kind]) -> Result<Vec<Token>, Unclear> {
        let mut seen = BTreeSet::new();
        let mut found = BTreeSet::new();
        for value in arguments(call) {
            each_number(value, |number, _| {
                if found.len() <= Unclear::MOST && seen.insert(number.to_owned()) {
                    found.extend(self.kept_under(number, kinds.iter().copied()));
                }
            });
            if found.len() > Unclear::MOST {
                return Err(Unclear::Many);
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Whether that name was made here.
    #[must_use]
    pub fn made(&self, token: &Token) -> bool {
        self.0.is_own(token)
    }

    /// Where one that was made here stands in a text.
    #[must_use]
    pub(crate) fn places(&self, text: &str) -> Vec<Range<usize>> {
        self.0.find(text).into_iter().map(|(span, _)| span).collect()
    }

    /// Those that a message is judged with, if any are to be had.
    #[must_use]
    pub(crate) fn of(event: &Event<'_>) -> Option<Names> {
        event.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Names(names) => Some(names.clone()),
            _ => None,
        })
    }
}

/// There is one for each tenant and purpose.
impl PartialEq for Names {
    fn eq(&self, other: &Names) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Names {}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// Why what the names and numbers in a call stand for is not put in their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unclear {
    /// There are more than can be looked up.
    #[error("the call has more numbers than can be looked up, of which any may stand for another")]
    Many,
    /// One stands for two others.
    #[error("a number in the call may stand for either of two others")]
    Two,
    /// It would end the string that it comes into.
    #[error(
        "a value with quotes, backslashes or line breaks would end the string that it comes into; give its pseudonym as an argument of \
         its own, or within JSON"
    )]
    Quotes,
}

impl Unclear {
    /// So many names are looked up for one call.
    const MOST: usize = 32_768;
}

fn personal(kind: Kind) -> Option<PersonalKind> {
    PersonalKind::ALL.into_iter().find(|personal| personal.as_str() == kind.as_str())
}

/// A name, and what it is to stand for. It never shows the latter.
#[derive(Clone, PartialEq, Eq)]
pub struct Pseudonym {
    /// The name.
    pub token: Token,
    /// As it stood in the text.
    pub value: Box<str>,
    /// The name of the same value whose subject it belongs to, if it is under another one.
    pub subject: Option<Token>,
    /// The number that may stand in the place of the name.
    pub number: Option<Number>,
}

impl Pseudonym {
    /// A longer value has none, in bytes.
    pub const LONGEST: usize = 4_096;

    /// Of a value that is under no other name, and has no number.
    #[must_use]
    pub fn of(token: Token, value: Box<str>) -> Pseudonym {
        Pseudonym { token, value, subject: None, number: None }
    }

    /// What is to be kept so that either leads to the value: the name, and what the number is kept under.
    pub(crate) fn kept(&self, preserves: bool) -> impl Iterator<Item = Pseudonym> {
        let name = Pseudonym { number: None, ..self.clone() };
        let number = self.number.as_ref().filter(|_| preserves).map(|number| Pseudonym {
            token: number.token(),
            subject: Some(self.token),
            number: None,
            value: self.value.clone(),
        });
        std::iter::once(name).chain(number)
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({})", self.token)
    }
}

/// The texts and numbers in the arguments of a call.
fn arguments(call: &Message) -> impl Iterator<Item = Value<'_>> {
    let arguments = call.params().and_then(|params| params.get("arguments"));
    let may_hold = |value: &Value<'_>| matches!(value.kind(), NodeKind::String | NodeKind::Number);
    arguments.into_iter().flat_map(Value::subtree).filter(may_hold)
}

/// Calls `each` with whatever in a text may be a number, or with a number, and with where it stands.
fn each_number(value: Value<'_>, mut each: impl FnMut(&str, Range<usize>)) {
    if value.kind() == NodeKind::Number {
        if let Some(digits) = numeral::digits(value.raw()) {
            each(&digits, 0..value.raw().len());
        }
        return;
    }
    let text = value.text();
    numeral::each_window(&text, |range| {
        if let Some(number) = text.get(range.clone()) {
            each(number, range.clone());
        }
        // One of a telephone is another one without its plus.
        let abroad = range.start.checked_sub(1).map(|start| start..range.end);
        let abroad =
            abroad.and_then(|range| Some((text.get(range.clone()).filter(|text| text.starts_with('+'))?, range)));
        abroad.into_iter().for_each(|(number, range)| each(number, range));
    });
    for number in Embedded::of(&text).numbers() {
        let raw = text.get(number.clone()).unwrap_or_default();
        if let Some(digits) = numeral::digits(raw).filter(|digits| **digits != *raw) {
            each(&digits, number.clone());
        }
    }
}

/// What pseudonyms stand for, to be put in their places.
pub struct Revealed<'v> {
    values: BTreeMap<Token, &'v str>,
    /// What numbers stand for, by what they are kept under.
    numbers: Option<(&'v Names, BTreeMap<Token, &'v str>)>,
}

impl fmt::Debug for Revealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revealed({})", self.values.len())
    }
}

/// What was given back to a call.
#[derive(Debug, Default)]
pub struct Given {
    /// What has to change.
    pub edits: Edits,
    /// Where values stand once it has: which text or number of the call, by its position, and which bytes of it.
    pub places: Vec<(u32, Range<usize>)>,
}

/// A part of a text, and what comes in its place.
struct Put {
    span: Range<usize>,
    with: String,
}

impl<'v> Revealed<'v> {
    /// These.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = (Token, &'v str)>) -> Revealed<'v> {
        Revealed { values: values.into_iter().collect(), numbers: None }
    }

    /// And these, for which numbers stand that are kept under such names.
    #[must_use]
    pub fn and_numbers(self, names: &'v Names, numbers: impl IntoIterator<Item = (Token, &'v str)>) -> Revealed<'v> {
        Revealed { numbers: Some((names, numbers.into_iter().collect())), ..self }
    }

    /// Puts them into the arguments of a call. In JSON within a text they stay within the strings that they come into, and
    /// where the `@` of a pseudonym is percent-encoded so are they. A number is written as the one that it comes in the place of.
    ///
    /// # Errors
    /// If a number stands for several values, or a value would end the string between quotes that it comes into, of a text that is no
    /// JSON.
    pub fn in_arguments(&self, call: &Message) -> Result<Given, Unclear> {
        let mut given = Given::default();
        for value in arguments(call) {
            let is_number = value.kind() == NodeKind::Number;
            let text = if is_number { value.raw().into() } else { value.text() };
            let mut puts = self.numbers(value, &text)?;
            if !is_number {
                puts.extend(self.names(&text)?);
            }
            if puts.is_empty() {
                continue;
            }
            let (text, places) = with(&text, puts);
            let at = value.id().index();
            given.places.extend(places.into_iter().map(|place| (at, place)));
            match is_number {
                true => given.edits.set_json(value.id(), text),
                false => given.edits.set_text(value.id(), &text),
            }
        }
        Ok(given)
    }

    /// What comes in the places of names in a text.
    fn names(&self, text: &str) -> Result<Vec<Put>, Unclear> {
        let mut found = bartizan_pseudonym::find(text);
        found.retain(|(_, token)| self.values.contains_key(token));
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let embedded = Embedded::of(text);
        let mut quotes: Option<Quotes> = None;
        let mut puts = Vec::with_capacity(found.len());
        for (span, token) in found {
            let Some(value) = self.values.get(&token) else { continue };
            let is_encoded = text.get(span.clone()).is_some_and(|name| name.contains('%'));
            let depth = embedded.depth(span.start);
            let with = match is_encoded {
                true => percent_encoded(value),
                false => (0..depth).fold((*value).to_owned(), |value, _| within_quotes(&value)),
            };
            let is_as_it_is = !is_encoded && depth == 0 && needs_escapes(value);
            if is_as_it_is && quotes.get_or_insert_with(|| Quotes::of(text)).would_break(span.start, value) {
                return Err(Unclear::Quotes);
            }
            puts.push(Put { span, with });
        }
        Ok(puts)
    }

    /// What comes in the places of numbers: of those that overlap in that of the longest.
    fn numbers(&self, value: Value<'_>, text: &str) -> Result<Vec<Put>, Unclear> {
        let Some((names, numbers)) = self.numbers.as_ref().filter(|(_, numbers)| !numbers.is_empty()) else {
            return Ok(Vec::new());
        };
        let kinds: BTreeSet<Kind> = numbers.keys().map(Token::kind).collect();
        // The same number may stand there as often as there is room.
        let mut known: BTreeMap<String, Vec<(Kind, &str)>> = BTreeMap::new();
        let mut placed = Placed::default();
        let mut is_clear = true;
        each_number(value, |number, span| {
            if !known.contains_key(number) {
                let kept = names.kept_under(number, kinds.iter().copied());
                let kept = kept.filter_map(|token| Some((token.kind(), *numbers.get(&token)?)));
                known.insert(number.to_owned(), kept.collect());
            }
            for (kind, value) in known.get(number).into_iter().flatten() {
                if let Some(put) = returned(text, (number, &span), *kind, value) {
                    is_clear &= placed.put((put.span.start, put.span.end), put.with);
                }
            }
        });
        if !is_clear {
            return Err(Unclear::Two);
        }
        let found = placed.0.into_iter().map(|((start, end), with)| Put { span: start..end, with });
        let mut found: Vec<Put> = found.collect();
        found.sort_by_key(|put| std::cmp::Reverse(put.span.len()));
        let mut apart: BTreeMap<usize, Put> = BTreeMap::new();
        for put in found {
            let before = apart.range(..put.span.end).next_back();
            if before.is_none_or(|(_, held)| held.span.end <= put.span.start) {
                apart.insert(put.span.start, put);
            }
        }
        Ok(apart.into_values().collect())
    }
}

/// What comes into each place; no place is compared with all others.
struct Placed<P>(BTreeMap<P, String>);

impl<P> Default for Placed<P> {
    fn default() -> Placed<P> {
        Placed(BTreeMap::new())
    }
}

impl<P: Ord> Placed<P> {
    /// Has that come there; whether nothing else does already.
    fn put(&mut self, place: P, with: String) -> bool {
        match self.0.entry(place) {
            Entry::Occupied(held) => *held.get() == with,
            Entry::Vacant(free) => {
                free.insert(with);
                true
            }
        }
    }
}

/// A value in the place of the number that stands for it, written as that is.
fn returned(text: &str, (number, span): (&str, &Range<usize>), kind: Kind, value: &str) -> Option<Put> {
    let written = written_as(kind, &form(personal(kind)?, value), number)?;
    // A number with a fraction of zeros or an exponent is written without.
    let is_negative = text.get(span.clone()).is_some_and(|raw| raw != number && raw.starts_with('-'));
    Some(Put { span: span.clone(), with: if is_negative { format!("-{written}") } else { written } })
}

/// A text with all of that in it, and where it is.
fn with(text: &str, mut puts: Vec<Put>) -> (String, Vec<Range<usize>>) {
    puts.sort_by_key(|put| put.span.start);
    let mut out = String::with_capacity(text.len());
    let mut places = Vec::with_capacity(puts.len());
    let mut at = 0;
    for Put { span, with } in puts {
        if span.start < at {
            continue;
        }
        out.push_str(text.get(at..span.start).unwrap_or_default());
        places.push(out.len()..out.len() + with.len());
        out.push_str(&with);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, places)
}

/// As it is written within a string of JSON.
fn within_quotes(value: &str) -> String {
    let quoted = quote(value);
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// As RFC 3986 has it in a part of a URI, with everything encoded that may mean something there.
fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;

    use super::*;

    #[test]
    fn values_come_where_their_names_stand() {
        let namer = Arc::new(Root::new(&[1; 32]).namer("tenant", "default"));
        let names = Names::new(Arc::clone(&namer));
        let foreign = Root::new(&[2; 32]).namer("tenant", "default").name(Kind::Email, "anna@example.org");
        let [mail, own] = [(Kind::Email, "anna@example.org"), (Kind::Own, "a \"quoted\\ \"one\"")];
        let [mail, own] = [mail, own].map(|(kind, value)| (names.name(kind, value), value));
        let url = mail.0.to_string().replace('@', "%40");
        for (argument, expected) in [
            (mail.0.to_string(), "anna@example.org".to_owned()),
            (format!("to {}, and {}.", mail.0, mail.0), "to anna@example.org, and anna@example.org.".to_owned()),
            (mail.0.to_string().to_uppercase(), "anna@example.org".to_owned()),
            (format!("https://a.example/?to={url}&x=1"), "https://a.example/?to=anna%40example.org&x=1".to_owned()),
            (format!("{{\"to\":\"{}\"}}", own.0), r#"{"to":"a \"quoted\\ \"one\""}"#.to_owned()),
            (own.0.to_string(), own.1.to_owned()),
            (foreign.to_string(), foreign.to_string()),
            ("nothing".to_owned(), "nothing".to_owned()),
        ] {
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"a":[{}]}}}}}}"#,
                quote(&argument)
            );
            let call = Message::parse(call, &Limits::default()).unwrap();
            assert!(!names.in_arguments(&call).contains(&foreign));
            let given = Revealed::new([mail, own]).in_arguments(&call).unwrap();
            let edited = call.edited(&given.edits, &Limits::default()).unwrap();
            let arguments = edited.params().unwrap().get("arguments").unwrap();
            assert_eq!(arguments.raw(), format!("{{\"a\":[{}]}}", quote(&expected)), "{argument}");
        }
    }
    #[test]
    fn a_value_that_would_end_its_string_is_not_given_back() {
        let names = Names::new(Arc::new(Root::new(&[1; 32]).namer("tenant", "default")));
        let [odd, mail] = [(Kind::Own, "a \"quoted\" one"), (Kind::Email, "anna@example.org")];
        let [odd, mail] = [odd, mail].map(|(kind, value)| (names.name(kind, value), value));
        for (argument, expected) in [
            (format!("{{'to': \"{}\"}}", odd.0), None),
            (format!("{{\"to\": \"{}\", ", odd.0), None),
            (format!("{{'to': \"{}\"}}", mail.0), Some("{'to': \"anna@example.org\"}".to_owned())),
            (format!("{{\"to\": \"{}\"}}", odd.0), Some(r#"{"to": "a \"quoted\" one"}"#.to_owned())),
            (format!("write to {}", odd.0), Some("write to a \"quoted\" one".to_owned())),
        ] {
            let params = format!(r#"{{"name":"t","arguments":{{"a":{}}}}}"#, quote(&argument));
            let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            let call = Message::parse(call, &Limits::default()).unwrap();
            let given = Revealed::new([odd, mail]).in_arguments(&call);
            let got = given.map(|given| {
                let edited = call.edited(&given.edits, &Limits::default()).unwrap();
                edited.params().unwrap().at(&["arguments", "a"]).unwrap().text().into_owned()
            });
            assert_eq!(got, expected.ok_or(Unclear::Quotes), "{argument}");
        }
    }

    thread_local!(static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

    /// A place that counts how often it is compared.
    #[derive(Clone, Copy)]
    struct Counted(usize);

    impl Ord for Counted {
        fn cmp(&self, other: &Counted) -> std::cmp::Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Counted) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Counted) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Counted {}

    /// A number that was handed out, said again as often as a message has room for it, costs as much each time.
    #[test]
    fn a_number_costs_as_much_however_often_it_stands_there() {
        let compared = |count: usize| {
            COMPARED.set(0);
            let mut placed = Placed::default();
            assert!(
                (0..count)
                    .all(|at| placed.put(Counted(at), "17".to_owned()) && placed.put(Counted(at), "17".to_owned()))
            );
            assert!(!placed.put(Counted(0), "18".to_owned()));
            COMPARED.get()
        };
        let (some, many) = (compared(1_000), compared(16_000));
        assert!(many < 16 * 2 * some, "{some} comparisons of 1,000, and {many} of 16,000");
        let names = Names::new(Arc::new(Root::new(&[1; 32]).namer("tenant", "default")));
        let handed = names.number_of(Kind::BankAccount, "123456789012").unwrap();
        let said = format!("{} ", handed.digits()).repeat(5_000);
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"a":{}}}}}}}"#,
            quote(&said.replace(' ', ", "))
        );
        let call = Message::parse(call, &Limits::default()).unwrap();
        let revealed = Revealed::new([]).and_numbers(&names, [(handed.token(), "123456789012")]);
        assert_eq!(revealed.in_arguments(&call).unwrap().places.len(), 5_000);
    }
}
