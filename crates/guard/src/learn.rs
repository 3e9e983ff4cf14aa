//! What traffic shows of tools, for whoever writes settings for them: fields, lengths, and what became of what they brought.
//!
//! **Threat.** Whoever learns from traffic learns from servers that may be hostile, and writes what will be in force. So a tool that
//! behaves well while it is watched gets nothing by it: what is learned leaves more out or adds a label, and never the reverse. What
//! is shown are names and counts, and no value; names that look like data are not shown either. All of it is bounded, however much
//! there is to be read and whatever is made up for it: what has no room is counted, and nothing is said of it.
//!
//! **What this cannot see.** What a model does with a field but pass it on: that it read it, or told its user of it.

mod draft;
mod field;
mod later;
mod names;
mod tree;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bartizan_flow::{Leaf, Nature, leaves};
use bartizan_mcp::{NodeKind, Value, method};
use serde::Deserialize;

use self::field::Hints;
use self::later::{Later, number_of};
use self::tree::{Fields, Node, Walk};
use crate::guards::flow::Options;
use crate::{Case, DefinitionKind, Direction, Settings, as_json};

pub use self::draft::{Ask, Draft, LabelDraft, Line};

/// Tools that are told apart.
const TOOLS: usize = 2_000;
/// Sessions of one tool that are counted, and clients whose calls are held against what they were brought.
const SESSIONS: usize = 10_000;
const CLIENTS: usize = 65_536;
/// Arguments of one tool that are named.
const ARGUMENTS: usize = 64;

/// Whose a message was, and what became of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whence<'w> {
    /// The session, as records name it.
    pub session: Option<&'w str>,
    /// What the client calls itself.
    pub client: Option<&'w str>,
    /// Whether it was refused, so that nobody got it.
    pub refused: bool,
}

/// Learns from one message after the other, in the order in which they came.
pub struct Learner {
    flow: Options,
    /// The tables of `minimise` that are there already: server and tool.
    tables: Vec<(String, String)>,
    tools: Vec<Tool>,
    by_name: BTreeMap<(Arc<str>, Box<str>), usize>,
    fields: Fields,
    later: Later,
    /// How many results of which tool each client got since it asked last.
    since: HashMap<u64, BTreeMap<usize, u64>>,
    /// Messages of tools beyond those that are told apart.
    further: u64,
}

/// What was seen of one tool.
#[derive(Default)]
struct Tool {
    server: Arc<str>,
    name: Box<str>,
    calls: u64,
    results: u64,
    errors: u64,
    refused: u64,
    sessions: HashSet<u64>,
    /// Results after which the same client asked something else.
    followed: u64,
    root: Node,
    places: usize,
    further: u64,
    /// Characters of the longest text that is no JSON, also of an error.
    longest: usize,
    rows: Option<usize>,
    images: u64,
    audio: u64,
    links: u64,
    blobs: u64,
    largest_blob: u64,
    hints: Hinted,
    /// Calls with an address or a host, and in which arguments.
    addressed: u64,
    addresses: BTreeMap<String, u64>,
    /// What its definition shows, if that was known.
    nature: Option<Nature>,
}

/// In how many results there was what hints at a label.
#[derive(Debug, Clone, Copy, Default)]
struct Hinted {
    personal: u64,
    secret: u64,
    link: u64,
    stranger: u64,
    html: u64,
    prose: u64,
}

impl Hinted {
    fn count(&mut self, hints: Hints) {
        let Hints { personal, secret, link, stranger, html, prose } = hints;
        self.personal += u64::from(personal);
        self.secret += u64::from(secret);
        self.link += u64::from(link);
        self.stranger += u64::from(stranger);
        self.html += u64::from(html);
        self.prose += u64::from(prose);
    }
}

/// All that was learned.
pub struct Learned {
    /// Of each tool, by server and name.
    pub drafts: Vec<Draft>,
    /// Messages of tools beyond those that are told apart.
    pub further: u64,
}

impl Learner {
    /// Knows what the settings say already.
    ///
    /// # Errors
    /// If the options of the guards `flow` or `minimise` are none.
    pub fn new(settings: &Settings) -> Result<Learner, serde_json::Error> {
        let options = |guard: &str| settings.guards.get(guard).map(|settings| settings.options.clone());
        let flow = options("flow").filter(|options| !options.is_null());
        let flow = flow.map_or_else(|| Ok(Options::default()), Options::deserialize)?;
        let tables = options("minimise").unwrap_or_default();
        let tables = tables.get("tool").and_then(serde_json::Value::as_array).into_iter().flatten();
        let word =
            |table: &serde_json::Value, key| table.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        let tables = tables.filter_map(|table| Some((word(table, "server")?, word(table, "tool")?))).collect();
        Ok(Learner {
            flow,
            tables,
            tools: Vec::new(),
            by_name: BTreeMap::new(),
            fields: Fields::default(),
            later: Later::default(),
            since: HashMap::new(),
            further: 0,
        })
    }

    /// Notes one message; of others than calls of tools and their results nothing.
    pub fn read(&mut self, case: &Case, whence: Whence<'_>) {
        case.judged(|event, session| {
            let Some(name) = event.tool() else { return };
            let Some(at) = self.tool(case.server(), &name) else {
                self.further += 1;
                return;
            };
            // What was approved, or what an operator has set right, is not to be written over by a guess.
            let known = session.catalog.get(DefinitionKind::Tool, &name);
            let pins = &event.server.pins;
            let nature = (known.is_some() || pins.labels(&name).is_some())
                .then(|| pins.nature(&name, known.map(|held| &**held), Nature::default()));
            if let Some(tool) = self.tools.get_mut(at) {
                tool.nature = nature.or(tool.nature);
            }
            let client = number_of(&[&case.principal().id, whence.client.unwrap_or_default()]);
            match event.direction {
                Direction::ToServer if event.message.method() == Some(method::TOOLS_CALL) => {
                    let arguments = event.message.params().and_then(|params| params.get("arguments"));
                    self.call(at, client, arguments.map(leaves).unwrap_or_default().as_slice());
                }
                Direction::ToClient => {
                    event.message.result().into_iter().for_each(|result| self.result(at, client, result, whence));
                }
                Direction::ToServer => {}
            }
        });
    }

    fn tool(&mut self, server: &Arc<str>, name: &str) -> Option<usize> {
        let key = (Arc::clone(server), Box::from(name));
        if let Some(at) = self.by_name.get(&key) {
            return Some(*at);
        }
        let at = self.tools.len();
        (at < TOOLS).then_some(())?;
        self.tools.push(Tool { server: Arc::clone(server), name: name.into(), ..Tool::default() });
        self.by_name.insert(key, at);
        Some(at)
    }

    fn call(&mut self, at: usize, client: u64, arguments: &[Leaf]) {
        for number in self.later.come_up(client, arguments.iter()) {
            self.fields.get_mut(number).into_iter().for_each(|field| field.came_up += 1);
        }
        for (tool, results) in self.since.remove(&client).into_iter().flatten() {
            self.tools.get_mut(tool).into_iter().for_each(|tool| tool.followed += results);
        }
        let Some(tool) = self.tools.get_mut(at) else { return };
        tool.calls += 1;
        let named: Vec<_> = arguments.iter().filter(|leaf| goes_somewhere(leaf)).map(argument_of).collect();
        tool.addressed += u64::from(!named.is_empty());
        for name in named {
            if tool.addresses.len() < ARGUMENTS || tool.addresses.contains_key(&name) {
                *tool.addresses.entry(name).or_default() += 1;
            }
        }
    }

    fn result(&mut self, at: usize, client: u64, result: Value<'_>, whence: Whence<'_>) {
        let Some(tool) = self.tools.get_mut(at) else { return };
        if whence.refused {
            tool.refused += 1;
            return;
        }
        let texts = texts_of(result);
        if result.get("isError").is_some_and(|flag| flag.kind() == NodeKind::True) {
            tool.errors += 1;
            texts.for_each(|text| tool.is_as_long(&text.text()));
            return;
        }
        tool.results += 1;
        if tool.sessions.len() < SESSIONS {
            tool.sessions.insert(number_of(&[whence.session.unwrap_or_default()]));
        }
        if self.since.len() < CLIENTS || self.since.contains_key(&client) {
            *self.since.entry(client).or_default().entry(at).or_default() += 1;
        }
        tool.media(result);
        let structured = result.get("structuredContent").filter(|value| value.kind() != NodeKind::Null);
        let mut root = std::mem::take(&mut tool.root);
        let mut walk = Walk {
            fields: &mut self.fields,
            later: &mut self.later,
            client,
            result: tool.results,
            own: &self.flow.domains,
            places: &mut tool.places,
            further: 0,
            rows: None,
            hints: Hints::default(),
        };
        structured.into_iter().for_each(|value| walk.value(value, &mut root, 0));
        let mut longest = 0;
        for text in texts {
            let text = text.text();
            match as_json(&text) {
                // Most servers say everything twice.
                Some(_) if structured.is_some() => {}
                Some(document) => walk.value(document.root(), &mut root, 0),
                None => {
                    longest = longest.max(text.chars().count());
                    if structured.is_none() {
                        walk.text(&text, &mut root);
                    }
                }
            }
        }
        let Walk { further, rows, hints, .. } = walk;
        tool.root = root;
        tool.longest = tool.longest.max(longest);
        tool.further += further;
        tool.rows = tool.rows.max(rows);
        tool.hints.count(hints);
    }

    /// What could be set, for tools of which at least so many results were read.
    #[must_use]
    pub fn drafts(mut self, least: u64) -> Learned {
        // Those that were asked for last got no later call any more.
        let mut tools = std::mem::take(&mut self.tools);
        tools.sort_by(|one, other| (&one.server, &one.name).cmp(&(&other.server, &other.name)));
        let further = self.further;
        let known = draft::Known { flow: &self.flow, tables: &self.tables, least };
        let drafts = tools.into_iter().map(|tool| tool.draft(&known, &mut self.fields)).collect();
        Learned { drafts, further }
    }
}

impl Tool {
    fn is_as_long(&mut self, text: &str) {
        if as_json(text).is_none() {
            self.longest = self.longest.max(text.chars().count());
        }
    }

    /// Counts pictures, sounds, links and blobs, each once a result.
    fn media(&mut self, result: Value<'_>) {
        let blocks = || result.get("content").into_iter().flat_map(Value::elements);
        let has =
            |kind: &str| u64::from(blocks().any(|block| block.get("type").is_some_and(|held| held.is_text(kind))));
        self.images += has("image");
        self.audio += has("audio");
        self.links += has("resource_link");
        let blobs = blocks().filter_map(|block| block.at(&["resource", "blob"]));
        let largest = blobs.map(|blob| (blob.text().len() as u64).saturating_mul(3) / 4).max();
        self.blobs += u64::from(largest.is_some());
        self.largest_blob = self.largest_blob.max(largest.unwrap_or_default());
    }
}

/// The texts in the content of a result, also in resources.
fn texts_of(result: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let blocks = result.get("content").into_iter().flat_map(Value::elements);
    let texts = blocks.filter_map(|block| block.get("resource").unwrap_or(block).get("text"));
    texts.filter(|text| text.kind() == NodeKind::String)
}

/// Whether an argument names an address of mail or of the web, or a host if its name says that something goes there.
fn goes_somewhere(leaf: &Leaf) -> bool {
    let pieces = || leaf.text.split(|c: char| c.is_whitespace() || ",;<>()\"".contains(c));
    leaf.text.contains("://") || pieces().any(is_mail) || leaf.is_destination && pieces().any(is_host)
}

fn is_mail(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && is_host(host))
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label) && last.chars().all(char::is_alphabetic)
}

/// The name of an argument, as far as it may be shown.
fn argument_of(leaf: &Leaf) -> String {
    let names: Vec<_> = leaf.path.split('.').map(|name| if names::is_shown(name) { name } else { "*" }).collect();
    names.join(".")
}

#[cfg(test)]
mod tests;
