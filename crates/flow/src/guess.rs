//! What a tool does with information, guessed from its definition.
//!
//! **Threat.** The definition comes from the server, which may be careless or worse. So a guess is where an operator starts from,
//! whatever is not known counts as content from outside, and what a server says of its own tool in annotations only ever
//! adds a label: `readOnlyHint` takes none away.
//!
//! The words are those of what tools do: verbs of their names first, then of their descriptions, and the names of
//! their arguments. A server that calls its tool something else is corrected by whoever approves it.

use bartizan_mcp::{NodeKind, Value};

use crate::label::{ToolLabel, ToolLabels};
use crate::nature::Nature;
use crate::role::{self, Role};
use crate::words::{List, list, of_name};

static READS: List = list!(
    "get read list search find fetch view show query lookup look describe check count browse retrieve load inspect"
    "browser navigate visit open scrape crawl download extract summarize summarise analyze analyse compare calculate"
    "compute convert explain preview select watch monitor stat tree glob grep diff who whoami screenshot snapshot"
    "resolve validate verify detect parse think recall current export"
);

/// What reaches somebody or something outside by its nature.
static SENDS: List = list!(
    "upload send post publish share forward reply respond notify tweet submit push invite transfer pay wire donate"
    "book reserve order purchase buy checkout call dial broadcast dm announce release deploy fork refund charge issue"
    "dispatch react star follow merge approve quote message email mail text sms fax ping webhook"
);

/// What writes; whether it reaches others depends on what it writes.
static WRITES: List = list!(
    "create add update edit set write put insert append save store modify change rename move copy make mkdir patch"
    "replace assign schedule reschedule register enable disable mark label tag apply commit import upsert configure"
    "start stop pause resume join leave subscribe link attach pin log draft grant transition close reopen archive"
    "remember fill click type press drag hover upgrade install sync split generate new complete finish accept decline"
    "switch checkin check_in keep"
);

/// What cannot be taken back.
static DESTROYS: List = list!(
    "delete remove destroy drop purge wipe erase truncate cancel terminate kill revoke reset uninstall overwrite"
    "shutdown ban unlink rm rmdir clear empty trash deactivate evict unshare detach rollback expire discard prune"
    "abort dismiss"
);

/// Verbs that are things as well.
static THINGS_TOO: List = list!(
    "text message email mail issue order book quote request call post star fork reply trigger share charge release"
    "sms fax ping webhook transfer tweet draft log label tag link copy change update set start trash reset command"
    "script shell terminal view status check count query search filter watch tree diff stat screenshot snapshot"
    "preview browser"
);

/// What does whatever it is told.
static EXECUTES: List = list!("execute exec run eval evaluate invoke shell bash terminal command script");

/// Who may do what: whoever changes these has more than they had.
static ACCESS: List = list!(
    "password passwd permission role ssh key token webhook collaborator admin administrator rule forwarding"
    "credential secret policy access privilege mfa 2fa otp acl visibility protection firewall delegate"
);

/// What stays with whoever has it written, unless it is said where it goes.
static STAYS: List = list!(
    "file directory folder dir note memory entity entities relation observation node graph draft todo reminder"
    "bookmark cell sheet spreadsheet row column variable local cache cart wishlist favorite favourite thought plan"
    "cron timer alarm preference setting theme view tab window line text block task document doc photo image"
);

/// What strangers write, or may have written into.
static BY_OTHERS: List = list!(
    "email mail inbox message thread chat channel conversation dm slack comment review issue ticket pull pr"
    "discussion post tweet timeline feed news article web website webpage page url html browser site document doc"
    "file attachment invitation event calendar transaction invoice wiki readme repo repository commit log rss video"
    "transcript form response feedback rating hotel restaurant listing product image pdf drive content code answer"
    "case lead submission package gist blog forum notification attendee meeting note"
);

/// What is not for everybody.
static PRIVATE: List = list!(
    "email mail inbox message thread chat channel conversation dm slack calendar event meeting contact file document"
    "doc drive note account balance transaction payment customer client user profile employee patient record invoice"
    "order booking reservation secret credential password key token env environment config database table row sql db"
    "repo repository code log history address salary payroll crm deal lead ticket case memory directory folder"
    "attachment cloud statement card contract medical prescription passport me whoami person people member team phone"
    "iban bank commit branch variable clipboard screenshot report spreadsheet sheet subscription trip itinerary"
    "flight workspace vault diary journal page wiki project plan task board graph entity entities node"
);

/// What is one's own and nobody else writes.
static OWN: List = list!(
    "contact account balance me whoami profile iban setting preference permission card time date timezone weather"
    "currency exchange calculator unit status version info user day clock memory setup capability quota usage"
);

/// What is of everybody, so that asking for it tells somebody what was asked.
static PUBLIC: List =
    list!("web website webpage internet google bing brave duckduckgo url http online tavily browser wikipedia");

/// Verbs, in the form they have in a name.
fn is_verb(word: &str, list: &List) -> bool {
    // Names have the bare form; descriptions also say `Sends`, and no verb above is the plural of another.
    let of_ies = word.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let bare = [Some(word), word.strip_suffix('s'), word.strip_suffix("es"), of_ies.as_deref()];
    bare.into_iter().flatten().any(|word| list.has(word))
}

/// What a tool does, as its verb says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Executes,
    Destroys,
    Sends,
    Writes,
    Reads,
}

/// The verb that a name or a sentence begins with, or has first; of one word that is several, what does most.
fn verb(words: &[String]) -> Option<Verb> {
    let of = |word: &String| {
        let all = [
            (&DESTROYS, Verb::Destroys),
            (&READS, Verb::Reads),
            (&EXECUTES, Verb::Executes),
            (&WRITES, Verb::Writes),
            (&SENDS, Verb::Sends),
        ];
        all.into_iter().find(|(list, _)| is_verb(word, list)).map(|(_, verb)| verb)
    };
    // What is a thing as well does something only to what follows it: `post_message`, but not `get_post`, nor `simple_text`.
    let last = words.len().saturating_sub(1);
    let acts = |(at, word): (usize, &String)| last == 0 || at < last || !THINGS_TOO.has(word);
    words.iter().enumerate().filter(|found| acts(*found)).map(|(_, word)| word).find_map(of)
}

/// Words of a description that say what a tool does: those of its first sentence, and no more than these.
const TELLING: usize = 24;

/// What a tool does with information, as far as its definition shows it.
#[must_use]
pub fn guess(tool: Value<'_>) -> Nature {
    let text = |key: &str| tool.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = of_name(&text("name"));
    let description = text("description");
    let sentence: String =
        description.split_inclusive(['.', '\n']).next().unwrap_or_default().chars().take(400).collect();
    let said: Vec<String> = of_name(&sentence).into_iter().take(TELLING).collect();
    let hint = |key: &str| tool.at(&["annotations", key]).map(Value::kind);
    let is_open = hint("openWorldHint") == Some(NodeKind::True);
    // A description of a thing begins with it (`Current weather of a town`), one of an act with its verb.
    let verb = verb(&name).or_else(|| verb(said.get(..3).unwrap_or(&said))).unwrap_or(Verb::Reads);
    let has = |list: &List| name.iter().chain(&said).any(|word| list.has_any(word));
    let named = |list: &List| name.iter().any(|word| list.has_any(word));
    let arguments = Arguments::of(tool);
    let mut labels = ToolLabels::NONE;
    let mut reads = verb == Verb::Reads;
    let mut if_addressed = false;
    match verb {
        Verb::Reads => {
            if arguments.has_address || named(&PUBLIC) {
                labels = labels.with(ToolLabel::PublicSink).with(ToolLabel::UntrustedContent);
            } else if has(&PRIVATE) {
                labels = labels.with(ToolLabel::PrivateData);
            }
            // Its own name says more than what else is talked about.
            let is_own = if named(&BY_OTHERS) { false } else { named(&OWN) };
            if !is_own {
                labels = labels.with(ToolLabel::UntrustedContent);
            }
            if hint("readOnlyHint") == Some(NodeKind::False) {
                reads = false;
            }
        }
        Verb::Executes => {
            labels = ToolLabel::ALL.into_iter().collect();
        }
        Verb::Destroys => labels = labels.with(ToolLabel::Destructive),
        Verb::Sends => labels = labels.with(ToolLabel::PublicSink),
        Verb::Writes => {
            if_addressed = named(&STAYS);
            if arguments.has_destination || !if_addressed {
                labels = labels.with(ToolLabel::PublicSink);
            }
        }
    }
    if verb != Verb::Reads && named(&ACCESS) || hint("destructiveHint") == Some(NodeKind::True) {
        labels = labels.with(ToolLabel::Destructive);
    }
    let by_hint = is_open && !labels.has(ToolLabel::PublicSink);
    if is_open {
        if_addressed = false;
        labels = labels.with(if reads { ToolLabel::UntrustedContent } else { ToolLabel::PublicSink });
    }
    Nature { labels, reads, if_addressed, by_hint }
}

/// What the arguments of a tool say of it.
struct Arguments {
    /// One says where something goes.
    has_destination: bool,
    /// One is an address of the web.
    has_address: bool,
}

/// Names of arguments that are addresses of the web.
static ADDRESSES: List = list!("url uri href");

/// Arguments that are looked at; honest tools have fewer.
const MOST: usize = 64;

impl Arguments {
    fn of(tool: Value<'_>) -> Arguments {
        let mut all = Arguments { has_destination: false, has_address: false };
        let own: Vec<_> =
            tool.at(&["inputSchema", "properties"]).into_iter().flat_map(Value::members).take(MOST).collect();
        // One that is an object says within where something goes: `action.forward`.
        let inner = own
            .iter()
            .filter_map(|(_, schema)| schema.get("properties").or_else(|| schema.at(&["items", "properties"])));
        let inner: Vec<_> = inner.flat_map(Value::members).take(MOST).collect();
        for (key, schema) in own.into_iter().chain(inner) {
            let key = key.text();
            let words = of_name(&key);
            let is_uri = schema.get("format").is_some_and(|format| format.is_text("uri") || format.is_text("url"));
            all.has_address |= is_uri || words.iter().any(|word| ADDRESSES.has_any(word));
            all.has_destination |= role::of(&[&key], "") == Role::Destination;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Limits, Message};

    use super::*;

    fn nature(tool: &str) -> (Vec<&'static str>, bool) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{tool}}}"#);
        let message = Message::parse(text, &Limits::default()).unwrap();
        let nature = guess(message.result().unwrap());
        (nature.labels.iter().map(ToolLabel::as_str).collect(), nature.reads)
    }

    fn check(name: &str, more: &str, labels: &[&str], reads: bool) {
        assert_eq!(nature(&format!(r#"{{"name":"{name}"{more}}}"#)), (labels.to_vec(), reads), "{name} {more}");
    }

    #[test]
    fn a_name_says_what_a_tool_does() {
        let both = ["untrusted_content", "private_data"];
        check("search_emails", "", &both, true);
        check("readFile", "", &both, true);
        check("list_transactions", "", &both, true);
        check("get_contacts", "", &["private_data"], true);
        check("get_balance", "", &["private_data"], true);
        check("get_current_time", "", &[], true);
        check("frobnicate", "", &["untrusted_content"], true);
        check("send_email", "", &["public_sink"], false);
        check("sendMoney", "", &["public_sink"], false);
        check("create_issue", "", &["public_sink"], false);
        check("write_file", "", &[], false);
        check("create_draft", "", &[], false);
        check("delete_file", "", &["destructive"], false);
        check("cancel_booking", "", &["destructive"], false);
        check("update_password", "", &["public_sink", "destructive"], false);
        check("add_ssh_key", "", &["public_sink", "destructive"], false);
        check("run_command", "", &["untrusted_content", "private_data", "public_sink", "destructive"], false);
    }

    #[test]
    fn arguments_and_descriptions_say_more() {
        let url = r#","inputSchema":{"type":"object","properties":{"url":{"type":"string"}}}"#;
        check("fetch", url, &["untrusted_content", "public_sink"], true);
        check("web_search", "", &["untrusted_content", "public_sink"], true);
        let shared = r#","inputSchema":{"type":"object","properties":{"recipients":{"type":"array"}}}"#;
        check("create_file", shared, &["public_sink"], false);
        check("courier", r#","description":"Sends a parcel.""#, &["public_sink"], false);
        check("test_simple_text", "", &["untrusted_content"], true);
        check("slack_post_message", "", &["public_sink"], false);
        check("mailbox", r#","description":"Shows what came.""#, &["untrusted_content"], true);
    }

    #[test]
    fn annotations_only_add_labels() {
        let of = |hint: &str| format!(r#","annotations":{{{hint}}}"#);
        check("delete_file", &of(r#""readOnlyHint":true,"destructiveHint":false"#), &["destructive"], false);
        check("send_email", &of(r#""openWorldHint":false,"readOnlyHint":true"#), &["public_sink"], false);
        check("write_file", &of(r#""destructiveHint":true"#), &["destructive"], false);
        check("write_file", &of(r#""openWorldHint":true"#), &["public_sink"], false);
        check("get_contacts", &of(r#""openWorldHint":true"#), &["untrusted_content", "private_data"], true);
    }

    #[test]
    fn nothing_in_a_definition_is_too_odd() {
        for tool in [
            "{}",
            r#"{"name":7}"#,
            r#"{"name":"","inputSchema":[]}"#,
            r#"{"name":"x","inputSchema":{"properties":[1]}}"#,
            "[]",
            "null",
        ] {
            nature(tool);
        }
    }
}
