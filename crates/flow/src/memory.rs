//! What results have brought into a conversation, and where the values of a call were before.
//!
//! Kept are hashes under a key of the conversation, in a bounded number. If there would be more, the rest is not kept, and from
//! then on a value that was never seen may be one of those: [`Origin::Forgotten`].

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bartizan_mcp::{NodeKind, Value};
use serde::{Deserialize, Serialize};

pub use crate::brought::Key;
use crate::brought::{Brought, END, Readings, short};
use crate::item::{Item, item};
use crate::label::{ToolLabel, ToolLabels};
use crate::normal;
use crate::role::{self, Attached, Named, Role};
use crate::shingle;
use crate::talk;
use crate::traces::{Origin, Overlap, Traced, Traces};
use crate::values::{self, Form};

/// A result that brought something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The server.
    pub server: Arc<str>,
    /// The tool, or the URI of a resource, as far as it is known.
    pub tool: Option<Arc<str>>,
    /// The entry of the log, if it is known.
    pub entry: Option<Arc<str>>,
    /// Whether strangers may have written it.
    pub is_untrusted: bool,
    /// Whether it is not for everybody.
    pub is_private: bool,
    /// Whether an operator vouches for whoever writes it, whatever it says.
    pub is_vouched: bool,
    /// Whether it is not for those whom it is about, as far as it says so: what colleagues note about a ticket.
    #[serde(default)]
    pub is_inside: bool,
}

impl Source {
    /// A result of that tool.
    #[must_use]
    pub fn of(server: &Arc<str>, tool: Option<&Arc<str>>, labels: ToolLabels) -> Source {
        Source {
            server: Arc::clone(server),
            tool: tool.map(Arc::clone),
            entry: None,
            is_untrusted: labels.has(ToolLabel::UntrustedContent),
            is_private: labels.has(ToolLabel::PrivateData),
            is_vouched: false,
            is_inside: false,
        }
    }
}

/// How much a conversation remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Results.
    pub sources: usize,
    /// Values that stood alone, and rows of words, each.
    pub values: usize,
    /// Words, of what is trusted and of what is not, each.
    pub words: usize,
}

impl Bounds {
    /// At most so many bytes take all of it, as measured by a test.
    pub const MOST_BYTES: usize = 64 << 20;
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { sources: 16_384, values: 1 << 18, words: 1 << 22 }
    }
}

/// What a conversation remembers.
#[derive(Debug, Clone)]
pub struct Memory {
    key: Key,
    bounds: Bounds,
    sources: Vec<Source>,
    fields: HashMap<u64, Seen, Hashed>,
    words: Words,
    /// Which value stood alone in which result, or was named by its call.
    alone: HashSet<u64, Hashed>,
    /// Which value was anywhere in which private result.
    facts: HashSet<u64, Hashed>,
    rows: HashMap<u64, u32, Hashed>,
    /// Which untrusted result was read as which item.
    items: Vec<(Item, u32)>,
    /// Which file, or what else that calls name, is in which private result.
    things: HashMap<u64, u32, Hashed>,
    /// What was brought as a whole: what comes again the same brings nothing new.
    whole: HashSet<u128, Hashed>,
    forgets: bool,
}

/// Where a value was seen; 0 is nowhere, else the number of a source and one.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    trusted: u32,
    field: u32,
    private: u32,
}

/// The words of texts, one behind the other.
#[derive(Debug, Clone, Default)]
struct Words {
    /// In little-endian bytes, as they are searched.
    bytes: Vec<u8>,
    /// From which byte on they are of which source.
    starts: Vec<(usize, u32)>,
}

/// Of what is looked up by a hash under the key of the conversation, which nobody can aim at a place of a table.
type Hashed = foldhash::fast::FixedState;

/// Values of one call that are looked at.
const MOST_VALUES: usize = 1024;
/// Names of arguments of one call that are remembered while it is looked at.
const MOST_NAMES: usize = 1024;
/// Bytes that are searched for them, of what is remembered; some tenths of a second.
const MOST_SEARCHED: usize = 1 << 30;

impl Memory {
    /// One that remembers nothing yet.
    #[must_use]
    pub fn new(key: Key, bounds: Bounds) -> Memory {
        Memory {
            key,
            bounds,
            sources: Vec::new(),
            fields: HashMap::default(),
            words: Words::default(),
            alone: HashSet::default(),
            facts: HashSet::default(),
            rows: HashMap::default(),
            items: Vec::new(),
            things: HashMap::default(),
            whole: HashSet::default(),
            forgets: false,
        }
    }

    /// The key by which what it is to remember has to be hashed.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether there was more than it could remember.
    #[must_use]
    pub fn forgets(&self) -> bool {
        self.forgets
    }

    /// Results that it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Values that it remembers, those that a call named included.
    #[must_use]
    pub fn values(&self) -> usize {
        self.fields.len()
    }

    /// Whether it remembers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && !self.forgets
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let table = |capacity: usize, entry: usize| capacity * (entry + 1) * 8 / 7;
        table(self.fields.capacity(), 8 + size_of::<Seen>())
            + table(self.rows.capacity() + self.things.capacity(), 16)
            + table(self.alone.capacity() + self.facts.capacity(), 8)
            + table(self.whole.capacity(), 16)
            + self.words.bytes.capacity()
            + self.words.starts.capacity() * 16
            + self.items.capacity() * size_of::<(Item, u32)>()
            + self.sources.capacity() * size_of::<Source>()
    }

    /// Whether what is known by that name was brought, and all of it is remembered ([`Brought::known_as`]).
    #[must_use]
    pub fn has(&self, known_as: u128) -> bool {
        self.whole.contains(&known_as)
    }

    /// Remembers what a result brought; by which number it is known, if it is.
    pub fn bring(&mut self, source: Source, brought: &Brought) -> Option<u32> {
        if brought.is_empty() {
            return None;
        }
        let (untrusted, private, vouched) = (source.is_untrusted, source.is_private, source.is_vouched);
        let is_told = untrusted && !source.is_inside;
        let forgot = std::mem::replace(&mut self.forgets, brought.cut);
        let Some(number) =
            u32::try_from(self.sources.len() + 1).ok().filter(|_| self.sources.len() < self.bounds.sources)
        else {
            self.forgets = true;
            return None;
        };
        self.sources.push(source);
        // What is trusted, whoever is answered did not write, and what is said about them they were not told.
        self.items.extend(brought.item.filter(|_| is_told).map(|item| (item, number)));
        let facts = brought.facts.iter().map(|hash| (hash, true));
        for (hash, is_fact) in brought.fields.iter().map(|hash| (hash, false)).chain(facts) {
            if self.fields.len() >= self.bounds.values && !self.fields.contains_key(hash) {
                self.forgets = true;
                break;
            }
            let seen = self.fields.entry(*hash).or_default();
            let pair = (pair(*hash, number), self.bounds.values);
            match (is_fact, untrusted) {
                (true, _) => self.forgets |= !keep(&mut self.facts, pair),
                (false, true) => {
                    seen.field = number;
                    self.forgets |= !keep(&mut self.alone, pair);
                }
                (false, false) => seen.trusted = number,
            }
            if private && seen.private == 0 {
                seen.private = number;
            }
        }
        // What the call named it was told, and does not name it anew. A stranger's sentence that did so before is in another result.
        for hash in &brought.told {
            self.forgets |= !keep(&mut self.alone, (pair(*hash, number), self.bounds.values));
        }
        // Also of one's own contacts: who wrote their sentences is another question.
        self.forgets |= !vouched && !self.words.add(&brought.prose, number, self.bounds.words);
        let held = [(&mut self.rows, &brought.rows), (&mut self.things, &brought.things)];
        for (held, hashes) in held {
            for hash in hashes {
                if held.len() >= self.bounds.values && !held.contains_key(hash) {
                    self.forgets = true;
                    break;
                }
                held.entry(*hash).or_insert(number);
            }
        }
        self.whole.extend(brought.known_as.filter(|_| !self.forgets));
        self.forgets |= forgot;
        Some(number)
    }

    /// Remembers nothing more.
    pub fn give_up(&mut self) {
        self.forgets = true;
    }

    /// The result of that number.
    fn source(&self, number: u32) -> Option<&Source> {
        number.checked_sub(1).and_then(|at| self.sources.get(usize::try_from(at).ok()?))
    }

    /// Says in which entry of the log the result of that number is.
    pub fn is_recorded(&mut self, number: u32, entry: Arc<str>) {
        let at = number.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        if let Some(source) = at.and_then(|at| self.sources.get_mut(at)) {
            source.entry = Some(entry);
        }
    }

    /// Where the values of `arguments` to that tool of a server were before. `readings` gives what a text says in an encoding.
    #[must_use]
    pub fn trace(&self, (server, tool): (&str, &str), arguments: Value<'_>, readings: &Readings<'_>) -> Traces {
        let mut tracing = Tracing::of(self, Some(readings));
        tracing.hands_over = role::hands_over(tool);
        tracing.value(arguments, &mut Vec::new());
        tracing.settle(tool, item(&self.key, server, arguments));
        tracing.traces
    }

    /// The same of what is no content, as a call names it.
    #[must_use]
    pub fn trace_names(&self, arguments: Value<'_>) -> Traces {
        let mut tracing = Tracing::of(self, None);
        tracing.value(arguments, &mut Vec::new());
        tracing.traces
    }

    /// What the client has named before anybody else did counts as its user's.
    pub fn is_named_by_client(&mut self, traces: &Traces) {
        let unseen = traces.values.iter().filter(|traced| traced.origin == Origin::Unseen);
        for hash in unseen.map(|traced| self.key.hash(&traced.value)).collect::<Vec<_>>() {
            if self.fields.len() >= self.bounds.values {
                // It stays unseen, which is as good.
                return;
            }
            self.fields.entry(hash).or_default().trusted = CLIENT;
        }
    }

    /// The first result in whose prose a value is mentioned and in which it does not stand alone.
    fn find(&self, form: Form, text: &str, normal: &str) -> u32 {
        let words = &self.words;
        if words.bytes.is_empty() {
            return 0;
        }
        let row = |text: &str| -> Vec<u8> {
            self.key.words(text).into_iter().flat_map(|word| short(word).to_le_bytes()).collect()
        };
        let hash = self.key.hash(normal);
        let is_alone = |source: u32| self.alone.contains(&pair(hash, source));
        let found = words.find(&row(text), is_alone);
        match form {
            Form::Number if found == 0 => words.find(&short(self.key.word(normal)).to_le_bytes(), is_alone),
            Form::Url if found == 0 => words.find(&row(normal), is_alone),
            _ => found,
        }
    }
}

/// Names what the client said in the place of a result.
const CLIENT: u32 = u32::MAX;

/// Keeps one in a set of at most so many; whether there was room. One value may come from ever new results, and of what is not kept it is not
/// known that it stood alone.
fn keep(held: &mut HashSet<u64, Hashed>, (pair, most): (u64, usize)) -> bool {
    held.contains(&pair) || held.len() < most && held.insert(pair)
}

fn pair(hash: u64, source: u32) -> u64 {
    hash.rotate_left(17) ^ u64::from(source).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Words {
    /// Adds those of a source; whether there was room.
    fn add(&mut self, words: &[u32], source: u32, most: usize) -> bool {
        if words.is_empty() {
            return true;
        }
        if self.bytes.len() / 4 + words.len() > most {
            return false;
        }
        self.starts.push((self.bytes.len(), source));
        self.bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        if words.last() != Some(&END) {
            self.bytes.extend(END.to_le_bytes());
        }
        true
    }

    /// The first source that has this row of words, but for those that are left out.
    fn find(&self, row: &[u8], left_out: impl Fn(u32) -> bool) -> u32 {
        if row.is_empty() {
            return 0;
        }
        let finder = memchr::memmem::Finder::new(row);
        let mut from = 0;
        while let Some(at) = self.bytes.get(from..).and_then(|rest| finder.find(rest)).map(|at| from + at) {
            let next = self.starts.partition_point(|(start, _)| *start <= at);
            let source = next.checked_sub(1).and_then(|last| self.starts.get(last)).map_or(0, |(_, source)| *source);
            // Else it is half of one word and half of the next, and the next place may overlap it.
            let is_row = at % 4 == 0;
            if is_row && !left_out(source) {
                return source;
            }
            // The rest of what is left out need not be looked at.
            from = if is_row { self.starts.get(next).map_or(self.bytes.len(), |(start, _)| *start) } else { at + 1 };
        }
        0
    }
}

struct Tracing<'m> {
    memory: &'m Memory,
    /// What a text says in an encoding; without it only names count.
    readings: Option<&'m Readings<'m>>,
    /// Whether the tool hands on what a call names.
    hands_over: bool,
    traces: Traces,
    /// Bytes that were searched so far.
    searched: usize,
    /// Numbers of sources, by those in the memory.
    numbers: HashMap<u32, usize>,
    /// What names say, by their hash: rows of a table have the same ones.
    named: HashMap<u64, Rc<Named>, Hashed>,
}

impl<'m> Tracing<'m> {
    fn of(memory: &'m Memory, readings: Option<&'m Readings<'m>>) -> Tracing<'m> {
        Tracing {
            memory,
            readings,
            hands_over: false,
            traces: Traces::default(),
            searched: 0,
            numbers: HashMap::new(),
            named: HashMap::default(),
        }
    }

    fn value<'a>(&mut self, value: Value<'a>, path: &mut Vec<std::borrow::Cow<'a, str>>) {
        match value.kind() {
            NodeKind::Object => {
                for (key, value) in value.members() {
                    let name = key.text();
                    if name.contains(['@', '/']) {
                        let named = self.named(path);
                        self.text(&name, &named, Some(Role::Destination));
                    }
                    path.push(name);
                    self.value(value, path);
                    path.pop();
                }
            }
            NodeKind::Array => value.elements().for_each(|element| self.value(element, path)),
            NodeKind::String => self.scalar(&value.text(), path),
            // A fraction is how much of something, and names nothing.
            NodeKind::Number if value.raw().contains('.') => {
                let named = self.named(path);
                self.note(&named, value.raw());
                if named.role(value.raw()) != Role::Selector {
                    self.text(value.raw(), &named, None);
                }
            }
            NodeKind::Number => self.scalar(value.raw(), path),
            NodeKind::True => {
                let named = self.named(path);
                self.note(&named, "true");
            }
            _ => {}
        }
    }

    fn scalar(&mut self, text: &str, path: &[std::borrow::Cow<'_, str>]) {
        let named = self.named(path);
        self.note(&named, text);
        self.text(text, &named, None);
    }

    fn named(&mut self, path: &[std::borrow::Cow<'_, str>]) -> Rc<Named> {
        let names = || path.iter().map(|name| &**name);
        let hash = self.memory.key.names(names());
        if let Some(named) = self.named.get(&hash) {
            return Rc::clone(named);
        }
        let named = Rc::new(Named::of(&names().collect::<Vec<_>>()));
        if self.named.len() < MOST_NAMES {
            self.named.insert(hash, Rc::clone(&named));
        }
        named
    }

    /// What a value says of the call as a whole.
    fn note(&mut self, named: &Named, value: &str) {
        self.traces.publishes |= named.publishes(value);
        self.traces.has_target |= named.is_target && !value.trim().is_empty();
    }

    fn text(&mut self, text: &str, named: &Named, role: Option<Role>) {
        let role = role.unwrap_or_else(|| named.role(text));
        self.traces.has_content |= role == Role::Content && text.contains(char::is_alphanumeric);
        let attached = named.attached(self.hands_over);
        // What is attached is none of what is said: it names a thing.
        let role =
            if attached.is_some() && role == Role::Content && !text.contains('\n') { Role::Selector } else { role };
        let attached = attached.filter(|_| role == Role::Selector);
        let place = Place { path: &named.path, role, is_id: role == Role::Selector && named.is_id, attached };
        if role == Role::Content && self.readings.is_none() {
            return;
        }
        let (inner, words) = self.read(text);
        self.values(&place, text, &inner);
        let Some(readings) = self.readings else { return };
        for url in inner.iter().filter(|value| value.form == Form::Url) {
            self.tail(&place, text, url, readings);
        }
        self.overlaps(&place, &words, None);
        for reading in readings(text) {
            let (inner, words) = self.read(&reading);
            for value in inner {
                let written = reading.get(value.span.clone()).unwrap_or_default();
                self.traced(&place, value.form, 0..text.len(), (written, &value.normal));
            }
            self.overlaps(&place, &words, Some(&(0..text.len())));
        }
    }

    /// The text as a whole, unless one of its values is all of it, and each of them.
    fn values(&mut self, place: &Place<'_>, text: &str, inner: &[values::Value]) {
        let is_named = |text: &str| values::is_telling(text) || place.is_id && values::is_short_id(text);
        let covered = || inner.iter().any(|value| value.span.len() + 2 >= text.trim().len());
        let is_whole = place.role != Role::Content && is_named(text) && !covered();
        if let Some(normal) = is_whole.then(|| normal::of_text(text)).flatten() {
            self.traced(place, Form::Whole, 0..text.len(), (text, &normal));
        }
        // A list of a folder has the name, and a call all of the path.
        let name = text.rsplit(['/', '\\']).next().filter(|name| place.attached.is_some() && name.len() < text.len());
        if let Some((name, normal)) = name.and_then(|name| Some((name, normal::of_text(name)?))) {
            self.traced(place, Form::Whole, text.len() - name.len()..text.len(), (name, &normal));
        }
        for value in inner {
            let written = text.get(value.span.clone()).unwrap_or_default();
            self.traced(place, value.form, value.span.clone(), (written, &value.normal));
        }
    }

    /// What an address says behind its host.
    fn tail(&mut self, place: &Place<'_>, text: &str, url: &values::Value, readings: &Readings<'_>) {
        let written = text.get(url.span.clone()).unwrap_or_default();
        let host = written.find("://").map_or(0, |at| at + 3);
        if let Some(asks) = written.find(['?', '#']) {
            // All but what is asked: a stranger may have written the rest, and what is to be filled in.
            let (base, span) = (written.get(..asks).unwrap_or_default(), url.span.start..url.span.start + asks);
            let normal = base.get(host..).unwrap_or_default().to_lowercase();
            self.traced(place, Form::Host, span, (base, &normal));
        }
        let rest = written.get(host..).unwrap_or_default();
        let Some(tail) = rest.find(['/', '?', '#']).and_then(|at| rest.get(at + 1..)) else { return };
        let decoded = readings(tail);
        let tail = decoded.first().map_or(tail, |decoded| &**decoded);
        let plain: String =
            tail.chars().map(|c| if matches!(c, '/' | '?' | '&' | '=' | '#' | '+') { ' ' } else { c }).collect();
        let place = Place { role: Role::Content, attached: None, ..*place };
        let (inner, words) = self.read(&plain);
        for value in inner {
            let written = plain.get(value.span.clone()).unwrap_or_default();
            self.traced(&place, value.form, url.span.clone(), (written, &value.normal));
        }
        self.overlaps(&place, &words, Some(&url.span));
    }

    /// What whoever is addressed has written themselves is nothing private to them; what is trusted they did not write.
    fn settle(&mut self, tool: &str, item: Option<Item>) {
        let memory = self.memory;
        let answered = self.answered(tool, item);
        let numbers: Vec<(usize, u32)> = self.numbers.iter().map(|(source, number)| (*number, *source)).collect();
        let of = |number: usize| numbers.iter().find(|(held, _)| *held == number).map(|(_, source)| *source);
        let theirs = self.traces.values.iter().filter(|traced| traced.role != Role::Content && !traced.is_attached);
        let theirs: Vec<u32> = theirs
            .filter_map(|traced| match traced.origin {
                Origin::Field(number) | Origin::Prose(number) => of(number),
                _ => None,
            })
            .filter(|source| memory.source(*source).is_some_and(|source| source.is_untrusted && !source.is_inside))
            .collect();
        for traced in
            self.traces.values.iter_mut().filter(|traced| traced.role == Role::Content && traced.private.is_some())
        {
            let hash = memory.key.hash(&traced.value);
            let is_theirs = |source: &u32| {
                memory.alone.contains(&pair(hash, *source)) || memory.facts.contains(&pair(hash, *source))
            };
            if theirs.iter().any(is_theirs) {
                traced.private = None;
            }
            traced.is_answer = answered.iter().any(is_theirs);
        }
    }

    /// What was read as the item that the call is about, unless a stranger's sentence named it.
    fn answered(&mut self, tool: &str, item: Option<Item>) -> Vec<u32> {
        let is_named = |traced: &Traced| matches!(traced.origin, Origin::Prose(_) | Origin::Forgotten);
        let mut names = self.traces.values.iter().filter(|traced| traced.role != Role::Content);
        if self.traces.cut || names.any(is_named) {
            return Vec::new();
        }
        let read = self.memory.items.iter().filter(|(held, _)| Some(*held) == item).map(|(_, source)| *source);
        let is_talk = |source: &u32| {
            let reader = self.memory.source(*source).and_then(|source| source.tool.as_deref());
            reader.is_some_and(|reader| talk::is_answered(reader, tool))
        };
        let read: Vec<u32> = read.filter(is_talk).collect();
        let answered = read.iter().map(|source| self.number(*source)).collect();
        self.traces.answered = answered;
        read
    }

    fn traced(&mut self, place: &Place<'_>, form: Form, span: Range<usize>, (text, normal): (&str, &str)) {
        let memory = self.memory;
        let mut seen = memory.fields.get(&memory.key.hash(normal)).copied().unwrap_or_default();
        if place.role == Role::Selector && seen.field == 0 && matches!(form, Form::Token | Form::Whole) {
            let respelled = values::respelled(normal).map(|other| memory.key.hash(&other));
            seen.field = respelled.and_then(|hash| memory.fields.get(&hash)).map_or(0, |seen| seen.field);
        }
        // In what is said only links and what is private matter: a document has thousands of other values.
        let is_said = place.role == Role::Content;
        if is_said && form != Form::Url && seen.private == 0 {
            return;
        }
        let searches = seen.trusted == 0 && (!is_said || form == Form::Url);
        self.searched += if searches { memory.words.bytes.len() } else { 0 };
        if self.traces.values.len() >= MOST_VALUES || self.searched > MOST_SEARCHED {
            self.traces.cut = true;
            return;
        }
        // Plain words are in many a text by chance; what cannot be is somebody's idea who is not it.
        let by_others = || match form {
            _ if !searches => 0,
            _ if seen.field > 0 && (form == Form::Whole || place.role == Role::Selector) => 0,
            _ => memory.find(form, text, normal),
        };
        let origin = match seen.trusted {
            0 => match (by_others(), seen.field) {
                (0, 0) if memory.forgets => Origin::Forgotten,
                (0, 0) => Origin::Unseen,
                (0, source) => Origin::Field(self.number(source)),
                (source, _) => Origin::Prose(self.number(source)),
            },
            CLIENT => Origin::Client,
            source => Origin::Trusted(self.number(source)),
        };
        let thing = || memory.things.get(&memory.key.hash(normal)).copied().unwrap_or_default();
        let held = match place.attached {
            // What the call is for somebody has listed to find it, and that says nothing against it.
            Some(Attached::Itself) => thing(),
            Some(Attached::Beside) if seen.private == 0 => thing(),
            _ => seen.private,
        };
        let private = (held > 0).then(|| self.number(held));
        let (path, role) = (place.path.into(), place.role);
        self.traces.values.push(Traced {
            path,
            role,
            span,
            value: normal.into(),
            is_url: form == Form::Url,
            // A number of few digits is in many a text by chance.
            is_id: matches!(form, Form::Token | Form::Number)
                || place.is_id && values::is_short_id(text) && text.contains(char::is_alphabetic),
            origin,
            private,
            is_answer: false,
            is_attached: place.attached.is_some(),
        });
    }

    /// The values of a text, and where it has which word, as far as that matters.
    fn read(&self, text: &str) -> (Vec<values::Value>, Vec<(Range<usize>, u64)>) {
        if self.memory.rows.is_empty() || self.readings.is_none() {
            return (values::of(text), Vec::new());
        }
        let mut words = Vec::new();
        (values::read(text, |span, word| words.push((span, self.memory.key.word(word)))), words)
    }

    /// Pieces of private results in a text of these words; of one that stood in it encoded, `whole` is where.
    fn overlaps(&mut self, place: &Place<'_>, spans: &[(Range<usize>, u64)], whole: Option<&Range<usize>>) {
        if spans.len() < shingle::ROW {
            return;
        }
        let words: Vec<u64> = spans.iter().map(|(_, word)| *word).collect();
        let mut last: Option<(usize, usize, u32)> = None;
        for (at, row) in shingle::rows(&words).enumerate() {
            let Some(source) = self.memory.rows.get(&row).copied() else { continue };
            last = match last {
                Some((start, end, held)) if held == source && at <= end => Some((start, at + shingle::ROW, held)),
                before => {
                    self.overlap(place, spans, before, whole);
                    Some((at, at + shingle::ROW, source))
                }
            };
        }
        self.overlap(place, spans, last, whole);
    }

    fn overlap(
        &mut self,
        place: &Place<'_>,
        spans: &[(Range<usize>, u64)],
        run: Option<(usize, usize, u32)>,
        whole: Option<&Range<usize>>,
    ) {
        let Some((start, end, source)) = run else { return };
        if self.traces.overlaps.len() >= MOST_VALUES {
            self.traces.cut = true;
            return;
        }
        let first = spans.get(start).map_or(0, |(span, _)| span.start);
        let last = end.checked_sub(1).and_then(|last| spans.get(last)).map_or(first, |(span, _)| span.end);
        let span = whole.cloned().unwrap_or(first..last);
        let source = self.number(source);
        self.traces.overlaps.push(Overlap { path: place.path.into(), span, words: end - start, source });
    }

    /// The number under which a source is named.
    fn number(&mut self, source: u32) -> usize {
        let (memory, sources) = (self.memory, &mut self.traces.sources);
        *self.numbers.entry(source).or_insert_with(|| {
            sources.extend(memory.source(source).cloned());
            sources.len().saturating_sub(1)
        })
    }
}

#[derive(Clone, Copy)]
struct Place<'p> {
    path: &'p str,
    role: Role,
    /// Whether it is what one thing is told from others by.
    is_id: bool,
    /// How what it names goes along, if it does.
    attached: Option<Attached>,
}

mod tests;
