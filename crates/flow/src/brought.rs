//! What a result brings into a conversation, as fingerprints: nothing of it can be read again.
//!
//! **Threat.** Whoever writes a mail or a page writes sentences, and a sentence can say to whom something is to be sent. A value that
//! a field of its own holds, such as who a mail is from, was put there by a program. So the two are told apart: a value that
//! stands alone is a *field*, all else is *prose*, and of a field with several words the words count as prose as well.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use bartizan_mcp::{Document, Limits, NodeKind, Value};
use foldhash::quality::FixedState;

use crate::item::Item;
use crate::leaves::leaves;
use crate::normal;
use crate::role;
use crate::shingle;
use crate::values::{self, Form};
use crate::words;

/// Seeds the hashes of one conversation, so that nobody outside can tell what has the same one.
#[derive(Debug, Clone)]
pub struct Key {
    state: FixedState,
    seed: u64,
}

impl Key {
    /// From a number that nobody can guess.
    #[must_use]
    pub fn new(seed: u64) -> Key {
        Key { state: FixedState::with_seed(seed), seed }
    }

    pub(crate) fn hash(&self, text: &str) -> u64 {
        self.hash_bytes(text.as_bytes())
    }

    fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// A word as it is compared; never 0, which ends a text.
    pub(crate) fn word(&self, word: &str) -> u64 {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut lower = [0; SHORT];
        let hash = match lower.get_mut(..word.len()) {
            _ if word.bytes().all(plain) => self.hash(word),
            Some(lower) if word.is_ascii() => {
                lower.copy_from_slice(word.as_bytes());
                lower.make_ascii_lowercase();
                self.hash_bytes(lower)
            }
            _ => self.hash(&word.to_lowercase()),
        };
        hash | 1
    }

    /// What names a row of texts, each told from the next, as a whole. Whoever writes a result chooses each byte of it, and sees whether it was
    /// taken for another one: for this, unlike for values, no hash will do that is only fast.
    #[must_use]
    pub fn whole<'t>(&self, texts: impl Iterator<Item = &'t str>) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        let mut half = [0; 16];
        half.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
        u128::from_le_bytes(half)
    }

    /// A row of names.
    pub(crate) fn names<'n>(&self, names: impl Iterator<Item = &'n str>) -> u64 {
        let mut hasher = self.state.build_hasher();
        for name in names {
            hasher.write_usize(name.len());
            hasher.write(name.as_bytes());
        }
        hasher.finish()
    }

    pub(crate) fn words(&self, text: &str) -> Vec<u64> {
        values::words(text).map(|(_, word)| self.word(word)).collect()
    }
}

/// Bytes of a word that is put into lower case without more ado.
const SHORT: usize = 32;

/// The half of a word's hash that is kept.
pub(crate) fn short(word: u64) -> u32 {
    (word >> 32) as u32 | 1
}

/// Ends a text, so that no row of words goes on in the next.
pub(crate) const END: u32 = 0;

/// What a text says in the encodings that carry bytes, each reading by itself.
pub type Readings<'r> = dyn Fn(&str) -> Vec<String> + 'r;

/// What one result brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brought {
    /// Values that stand alone.
    pub(crate) fields: Vec<u64>,
    /// The words of everything else, in order.
    pub(crate) prose: Vec<u32>,
    /// Rows of words, if it is private.
    pub(crate) rows: Vec<u64>,
    /// Addresses, numbers and tokens wherever they stand, if it is private.
    pub(crate) facts: Vec<u64>,
    /// What its call named.
    pub(crate) told: Vec<u64>,
    /// Which private things it is of: the files, and what else its call named by an id.
    pub(crate) things: Vec<u64>,
    /// Which item it is, if it is one that can be answered.
    pub(crate) item: Option<Item>,
    /// What tells it from all other results, if that is asked.
    pub(crate) known_as: Option<u128>,
    /// Whether it holds more than is read.
    pub(crate) cut: bool,
}

/// Rows that are kept of one result: of a longer one they are winnowed from more neighbours, and only longer pieces of it are
/// sure to be known again.
const MOST_ROWS: usize = 16_384;
/// Values of one result.
const MOST_FIELDS: usize = 65_536;
/// Values that its call named.
const MOST_TOLD: usize = 256;
/// JSON in a text in JSON.
const DEEPEST: usize = 2;

impl Brought {
    /// What `result` brings. `readings` gives what a text says in an encoding; `private` is whether pieces of it are to be known again.
    #[must_use]
    pub fn of(key: &Key, result: Value<'_>, private: bool, readings: &Readings<'_>) -> Brought {
        let mut reading =
            Reading { key, readings, private, brought: Brought::default(), words: Vec::new(), normal: String::new() };
        reading.value(result, 0);
        let Reading { mut brought, words, .. } = reading;
        if private {
            let window = shingle::WINDOW.max(2 * words.len() / MOST_ROWS);
            brought.rows = shingle::winnowed(&words, window);
        }
        brought
    }

    /// Values that stand alone, in the form in which they are compared.
    #[must_use]
    pub fn of_values<'v>(key: &Key, values: impl Iterator<Item = &'v str>) -> Brought {
        Brought { fields: values.map(|value| key.hash(value)).collect(), ..Brought::default() }
    }

    /// The same, as the answer to a call with these arguments: what says again what it was told names nothing new.
    #[must_use]
    pub fn answering(self, key: &Key, arguments: Value<'_>) -> Brought {
        let texts = arguments.subtree().filter_map(|value| match value.kind() {
            NodeKind::String => Some(value.text()),
            NodeKind::Number => Some(value.raw().into()),
            _ => None,
        });
        let named = texts.flat_map(|text| {
            let values = values::of(&text).into_iter().map(|value| value.normal);
            normal::of_text(&text).into_iter().chain(values).collect::<Vec<_>>()
        });
        let told = named.take(MOST_TOLD).map(|normal| key.hash(&normal)).collect();
        Brought { told, ..self }
    }

    /// The same, as what is private in what the call with these arguments named: a file, a document by its id.
    #[must_use]
    pub fn of_things(self, key: &Key, arguments: Value<'_>) -> Brought {
        let named = leaves(arguments).into_iter().filter(|leaf| {
            let last = leaf.path.rsplit('.').next().unwrap_or_default();
            leaf.is_path || role::is_thing(&words::of_name(last))
        });
        let things = named.take(MOST_TOLD).filter_map(|leaf| normal::of_text(&leaf.text));
        let things = things.map(|normal| key.hash(&normal)).collect();
        Brought { things, ..self }
    }

    /// The same, as what is private in a resource of that URI.
    #[must_use]
    pub fn of_resource(self, key: &Key, uri: &str) -> Brought {
        let path = uri.strip_prefix("file://").filter(|path| path.starts_with('/'));
        let things = [Some(uri), path].into_iter().flatten().filter_map(normal::of_text);
        Brought { things: things.map(|normal| key.hash(&normal)).collect(), ..self }
    }

    /// The same, as it was read as that item.
    #[must_use]
    pub fn as_item(self, item: Option<Item>) -> Brought {
        Brought { item, ..self }
    }

    /// The same, to be known again by that name of all that it was made of ([`Key::whole`], [`Memory::has`](crate::Memory::has)).
    #[must_use]
    pub fn known_as(self, name: u128) -> Brought {
        Brought { known_as: Some(name), ..self }
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.prose.is_empty()
    }
}

struct Reading<'r> {
    key: &'r Key,
    readings: &'r Readings<'r>,
    private: bool,
    brought: Brought,
    /// All words, if it is private.
    words: Vec<u64>,
    /// Takes what is compared, one value after the other.
    normal: String,
}

impl Reading<'_> {
    fn value(&mut self, value: Value<'_>, depth: usize) {
        for node in value.subtree() {
            match node.kind() {
                NodeKind::String => self.text(&node.text(), depth),
                NodeKind::Number => self.field(node.raw()),
                // A name that is an address is a value, as in a list of who may do what.
                NodeKind::Key => {
                    let name = node.text();
                    if name.contains(['@', '/', '.']) {
                        self.field(&name);
                    }
                }
                _ => {}
            }
        }
    }

    fn text(&mut self, text: &str, depth: usize) {
        if is_json(text)
            && depth < DEEPEST
            && let Ok(inner) = Document::parse(text.trim().to_owned(), &Limits::AGAIN)
        {
            return self.value(inner.root(), depth + 1);
        }
        if is_field(text) {
            self.field(text);
        } else if text.contains('\n') && depth == 0 {
            self.lines(text);
        } else {
            self.prose(text);
        }
        for reading in (self.readings)(text) {
            self.prose(&reading);
        }
    }

    /// A text for people in which lines have a name and a value, or are rows of a table. Such lines are fields where nothing else
    /// stands among them: blank lines end what belongs together.
    fn lines(&mut self, text: &str) {
        let mut block: Vec<&str> = Vec::new();
        for line in text.lines().chain([""]) {
            if !line.trim().is_empty() {
                block.push(line);
                continue;
            }
            // So do lists of short lines that begin with a sign or a value, as no sentence does.
            let is_short = |line: &str| cells(line).is_some() || is_listed(line.trim());
            let shaped = block.iter().all(|line| is_short(line));
            if !shaped && let Some(rows) = table(&block) {
                rows.into_iter().for_each(|cell| self.field(cell));
                block.clear();
                continue;
            }
            for line in block.drain(..) {
                match cells(line).filter(|_| shaped) {
                    Some(cells) => cells.into_iter().for_each(|cell| self.field(cell)),
                    None if shaped => self.listed(line),
                    None => drop(self.prose(line)),
                }
            }
        }
    }

    /// A line of a list: all of it, and each value in it.
    fn listed(&mut self, line: &str) {
        self.field(line);
        // `[FILE] pay.xlsx` names the file without what it is.
        let named = line.trim().strip_prefix('[').and_then(|rest| rest.split_once("] "));
        named.into_iter().for_each(|(_, name)| self.whole(name, None));
        let values = values::of(line);
        let own = values.iter().map(|value| self.key.hash(&value.normal));
        self.brought.fields.extend(own);
    }

    fn field(&mut self, text: &str) {
        if self.brought.fields.len() >= MOST_FIELDS {
            self.brought.cut = true;
            return;
        }
        // `Send it to eve@evil.example` may stand in a field, too.
        let values = self.prose(text);
        self.whole(text, Some(&values));
        for piece in pieces(text) {
            self.whole(piece, None);
        }
    }

    /// One value that stands alone; `held` are the values in it, where they are known.
    fn whole(&mut self, text: &str, held: Option<&[values::Value]>) {
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || normal::decorates(c));
        let all = match held {
            // A plain word is nothing else as well.
            _ if trimmed.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ') => Cow::Borrowed(&[][..]),
            Some(held) if trimmed.len() == text.len() => Cow::Borrowed(held),
            _ => Cow::Owned(values::of(trimmed)),
        };
        let covers = |value: &&values::Value| value.form == Form::Host || value.span.len() + 2 >= trimmed.len();
        let is_one = all.first().is_some_and(|value| value.span.len() + 2 >= trimmed.len());
        let values = all.iter().filter(covers).filter(|_| is_one).map(|value| &*value.normal);
        let (key, fields) = (self.key, &mut self.brought.fields);
        if normal::into(text, &mut self.normal) {
            fields.push(key.hash(&self.normal));
        }
        fields.extend(values.map(|normal| key.hash(normal)));
        fields.extend(values::respelled(trimmed).map(|normal| key.hash(&normal)));
    }

    /// Words in their order, and the values in them.
    fn prose(&mut self, text: &str) -> Vec<values::Value> {
        let key = self.key;
        let (prose, words) = (&mut self.brought.prose, self.private.then_some(&mut self.words));
        let (mut spells, mut words) = (false, words);
        let mut at = false;
        let values = values::read(text, |span, word| {
            let hash = key.word(word);
            spells |= at && values::goes_on(text, &span) || word.eq_ignore_ascii_case("dot");
            at = word.eq_ignore_ascii_case("at");
            prose.push(short(hash));
            if let Some(words) = &mut words {
                words.push(hash);
            }
        });
        prose.push(END);
        for value in values.iter().filter(|value| value.form == Form::Number) {
            self.brought.prose.extend([short(key.word(&value.normal)), END]);
        }
        let spelled = if spells { values::spelled(text) } else { Vec::new() };
        for address in spelled {
            self.brought.prose.extend(key.words(&address).into_iter().map(short).chain([END]));
        }
        if self.private {
            let facts = values.iter().filter(|value| matches!(value.form, Form::Email | Form::Number | Form::Token));
            self.brought.facts.extend(facts.map(|value| key.hash(&value.normal)));
        }
        values
    }
}

/// Whether a text has more to say than short values do, as an order has. Of JSON each string is looked at as it is written, which is
/// cheaper than reading it, and a line break in one counts as more.
#[must_use]
pub fn has_prose(text: &str) -> bool {
    if !is_json(text) {
        return has_words(text);
    }
    let mut rest = text;
    while let Some(string) = rest.find('"').and_then(|start| rest.get(start + 1..)) {
        let end = end_of_string(string);
        if string.get(..end).is_some_and(|written| written.contains("\\n") || has_words(written)) {
            return true;
        }
        rest = string.get(end + 1..).unwrap_or_default();
    }
    false
}

/// Where a string of JSON ends that begins here.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let ends = |byte: u8| {
        let was = escaped;
        escaped = byte == b'\\' && !was;
        byte == b'"' && !was
    };
    text.bytes().position(ends).unwrap_or(text.len())
}

fn has_words(text: &str) -> bool {
    !is_field(text)
        && text.split("\n\n").any(|block| {
            !block.lines().all(|line| line.trim().is_empty() || is_listed(line.trim()) || cells(line).is_some())
        })
}

fn is_json(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.starts_with('{') && trimmed.ends_with('}') || trimmed.starts_with('[') && trimmed.ends_with(']')
}

/// Bytes and words of what stands alone.
const LONGEST_FIELD: usize = 120;
const MOST_WORDS: usize = 8;

fn is_field(text: &str) -> bool {
    let sentence = |pair: &[u8]| matches!(pair, [b'.' | b'!' | b'?', b' '] | [b'\n', _] | [_, b'\n']);
    let is_short = text.len() <= LONGEST_FIELD && text != "\n" && !text.as_bytes().windows(2).any(sentence);
    is_short && values::words(text).nth(MOST_WORDS).is_none()
        // An address may have many words.
        || text.len() <= normal::LONGEST && !text.contains(char::is_whitespace)
}

fn is_listed(line: &str) -> bool {
    let begins = line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '*' | '•' | '[' | '/' | '#'));
    is_field(line) && (begins || values::of(line).first().is_some_and(|value| value.span.start == 0))
}

/// The values of a line with a name before them, or of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim().trim_start_matches(['-', '*', '•', '+']).trim();
    if line.starts_with('|') && line.ends_with('|') {
        return Some(line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .filter(|cells: &Vec<&str>| cells.iter().all(|cell| is_field(cell)));
    }
    let (name, value) = line.split_once([':', '='])?;
    let name = name.trim_matches(|c: char| c.is_whitespace() || normal::decorates(c));
    let named = !name.is_empty() && name.len() <= 40 && values::words(name).nth(4).is_none();
    (named && is_field(value)).then(|| vec![value.trim()])
}

/// The cells of lines that are a table in which commas, semicolons or tabs part them: as many in each, and no space behind what
/// parts them, as sentences have it.
fn table<'t>(lines: &[&'t str]) -> Option<Vec<&'t str>> {
    let first = lines.first().filter(|_| lines.len() > 1)?;
    let parts = [',', ';', '\t'].into_iter().find(|parts| first.contains(*parts))?;
    let columns = first.split(parts).count();
    let cells: Vec<&str> = lines.iter().flat_map(|line| line.trim_end().split(parts)).collect();
    let is_cell = |cell: &&str| !cell.starts_with(' ') && is_field(cell);
    let is_even = lines.iter().all(|line| line.split(parts).count() == columns);
    (is_even && cells.iter().all(is_cell)).then_some(cells)
}

/// What a field holds several of: `Bob <bob@corp.example>`, `a@x.example, b@x.example`.
fn pieces(text: &str) -> Vec<&str> {
    if let Some((name, address)) = text.split_once('<').filter(|(_, address)| address.trim_end().ends_with('>')) {
        return vec![name, address];
    }
    if !text.contains([',', ';']) {
        return Vec::new();
    }
    let all: Vec<&str> = text.split([',', ';']).map(str::trim).collect();
    let is_address = |piece: &&str| {
        values::of(piece).iter().any(|value| value.form == Form::Email && value.span.len() == piece.len())
    };
    if all.len() > 1 && all.iter().all(is_address) { all } else { Vec::new() }
}
