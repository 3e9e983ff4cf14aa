//! What an argument is for: where something goes, what is said, or which thing is meant.

use serde::{Deserialize, Serialize};

use crate::values;
use crate::words::{self, List, list};

/// What an argument is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Who or what it goes to: a recipient, an address, an account, a place.
    Destination,
    /// What is said there; long texts are that whatever they are called.
    Content,
    /// Which thing is meant, and how: ids, names, dates, options.
    Selector,
}

/// Names of arguments that say where something goes. Facts of many servers' schemas, not of any one.
static DESTINATIONS: List = list!(
    "to cc bcc recipient receiver email mail address participant attendee guest invitee user username member"
    "collaborator assignee reviewer contact person people channel chat room group team conversation url uri link href"
    "webhook endpoint callback host hostname domain server phone mobile number iban bic account payee beneficiary"
    "destination target dest remote repo repository owner organization org bucket audience who share forward invite"
    "handle wallet site website"
);

/// Names of arguments that hold what is said.
static CONTENTS: List = list!(
    "body text message content comment description subject title summary note query question code html markdown"
    "caption reason prompt data payload blob patch diff memo details answer reply post tweet status bio headline"
    "instruction attachment keyword search term remark request wish observation feedback review"
);

/// Names that say only that something is meant.
static NAMES: List = list!("id ids name names slug key list");

/// Longer texts of more words are said, unless their argument says where something goes: a list of recipients is long.
const LONGEST: usize = 160;

/// What the names on the way to an argument say of it. They are read once, however many values stand under them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The names, joined with full stops.
    pub(crate) path: Box<str>,
    /// Whether it says which thing is meant, as ids do.
    pub(crate) is_target: bool,
    /// Whether it is what one thing is told from others of its kind by.
    pub(crate) is_id: bool,
    /// What it is for, if the names say so, by what it holds.
    if_id: Option<Role>,
    if_one: Option<Role>,
    if_more: Option<Role>,
    says_public: bool,
    /// How what it names goes along with what is sent, if it does.
    attaches: Option<Attached>,
}

/// How what an argument names goes along with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// Beside what is said.
    Beside,
    /// It is what the call is for, if the tool hands things over and does not only work on them.
    Itself,
}

impl Named {
    /// Of the names on the way to it, the innermost last.
    pub(crate) fn of(path: &[&str]) -> Named {
        let last = of_last(path);
        // The innermost name says most. What has a full stop is the name of a file, which says nothing of what is in it.
        let telling = path.iter().rev().filter(|name| !name.contains(['.', '/', '@'])).map(|name| words::of_name(name));
        let telling = telling.into_iter().find(|words| !words.is_empty()).unwrap_or_default();
        Named {
            path: path.join(".").into(),
            is_target: is_target(&last),
            is_id: is_id(&last),
            if_id: told(&telling, Holds::Id),
            if_one: told(&telling, Holds::One),
            if_more: told(&telling, Holds::More),
            says_public: says_public(&last),
            attaches: attaches(path, &last),
        }
    }

    /// How what it names goes along with the call of a tool that hands things over, or does not; if it does.
    pub(crate) fn attached(&self, hands_over: bool) -> Option<Attached> {
        self.attaches.filter(|attached| hands_over || *attached == Attached::Beside)
    }

    /// What it is for if it holds this.
    pub(crate) fn role(&self, text: &str) -> Role {
        // What lets somebody in is one word: `code` is that of a lock, or all of a program.
        let is_one = || !text.trim().contains(char::is_whitespace) && text.len() <= LONGEST;
        let told = if self.if_id == self.if_more && self.if_one == self.if_more {
            self.if_more
        } else if values::is_short_id(text) {
            self.if_id
        } else if is_one() {
            self.if_one
        } else {
            self.if_more
        };
        told.unwrap_or_else(|| {
            let is_said = text.len() > LONGEST && text.contains(' ') || text.trim().contains('\n');
            if is_said { Role::Content } else { Role::Selector }
        })
    }

    /// Whether it says that something is for everybody if it holds this.
    pub(crate) fn publishes(&self, value: &str) -> bool {
        static EVERYBODY: List = list!("true public anyone everyone everybody world all internet web");
        self.says_public && EVERYBODY.has(&value.to_lowercase())
    }
}

/// What an argument is for, by the names on the way to it (the innermost last) and what it holds.
pub(crate) fn of(path: &[&str], text: &str) -> Role {
    Named::of(path).role(text)
}

/// What an argument may hold, as far as its names mean something else by that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// What could be the id of something, which is one word.
    Id,
    /// Another word, which could let somebody in.
    One,
    More,
}

/// What the words of the telling name say that an argument is for.
fn told(telling: &[String], holds: Holds) -> Option<Role> {
    // The last word says most: `repo_name` is a name, `reply_to` an address.
    for word in telling.iter().rev().filter(|word| !NAMES.has(word)) {
        if DESTINATIONS.has_any(word) {
            return Some(Role::Destination);
        }
        // The id of a message is none of what it says.
        if holds == Holds::Id && is_id(telling) {
            return Some(Role::Selector);
        }
        if CONTENTS.has_any(word) && !(holds != Holds::More && is_credential(word)) {
            return Some(Role::Content);
        }
    }
    None
}

/// The words of the innermost name, by which the following are told.
pub(crate) fn of_last(path: &[&str]) -> Vec<String> {
    path.last().map(|name| words::of_name(name)).unwrap_or_default()
}

/// Whether an argument says which thing is meant, as ids do.
fn is_target(last: &[String]) -> bool {
    static TARGETS: List = list!(
        "id uuid number no key ref reference slug sku thread ticket issue event order page path file name code"
        "document item record product hotel flight place booking"
    );
    last.iter().any(|word| TARGETS.has_any(word))
}

/// Whether an argument is what one thing is told from others of its kind by.
pub(crate) fn is_id(last: &[String]) -> bool {
    static IDS: List = list!("id uuid number no key ref reference slug sku code");
    last.last().is_some_and(|word| IDS.has_any(word))
}

/// Whether an argument names what people write to each other in, as the id of a mail or a ticket does.
pub(crate) fn is_id_of_talk(last: &[String]) -> bool {
    static TALKS: List = list!(
        "message msg mail email thread ticket issue comment post conversation chat discussion pull pr case question"
        "review topic"
    );
    is_id(last) && last.iter().any(|word| TALKS.has_any(word))
}

/// Whether an argument names a file or a folder.
pub(crate) fn is_path(last: &[String]) -> bool {
    static PATHS: List = list!("path file filename filepath dir directory folder root cwd");
    last.last().is_some_and(|word| PATHS.has_any(word))
}

/// How what an argument names goes along, by the names on the way to it.
fn attaches(path: &[&str], last: &[String]) -> Option<Attached> {
    static ATTACHED: List = list!("attachment attach attached attaching enclosure enclosed upload inline");
    static FILES: List =
        list!("file filename filepath path document doc media image photo picture video audio pdf report");
    if path.iter().any(|name| words::of_name(name).iter().any(|word| ATTACHED.has_any(word))) {
        return Some(Attached::Beside);
    }
    let is_file = last.iter().any(|word| FILES.has_any(word));
    (is_file && !is_id_of_talk(last)).then_some(Attached::Itself)
}

/// Whether a tool of that name hands on what it names, and does not only work on it.
pub(crate) fn hands_over(tool: &str) -> bool {
    static HANDS: List = list!(
        "send share upload attach forward publish export email mail message post tweet transfer submit deliver fax"
    );
    words::of_name(tool).iter().any(|word| HANDS.has(word))
}

/// Whether an argument names a file, or something by its id that nobody is talked to in.
pub(crate) fn is_thing(last: &[String]) -> bool {
    static URIS: List = list!("uri url");
    is_path(last) || last.last().is_some_and(|word| URIS.has(word)) || is_id(last) && !is_id_of_talk(last)
}

/// Whether an argument names a folder.
pub(crate) fn is_folder(last: &[String]) -> bool {
    static FOLDERS: List = list!("dir directory folder root cwd");
    last.last().is_some_and(|word| FOLDERS.has_any(word))
}

/// Whether an argument sets what lets somebody in.
#[must_use]
pub fn is_credential(path: &str) -> bool {
    static CREDENTIALS: List =
        list!("password passwd passphrase pin secret token otp key credential recovery phone code");
    let last = path.rsplit('.').next().unwrap_or_default();
    words::of_name(last).iter().any(|word| CREDENTIALS.has_any(word))
}

/// Whether the name is that of what says for whom something is.
fn says_public(last: &[String]) -> bool {
    static SAYS: List = list!("public publish published visibility access audience sharing anyone");
    last.iter().any(|word| SAYS.has(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_for_something() {
        let long = "word ".repeat(40);
        for (path, text, role) in [
            (&["to"][..], "a@b.example", Role::Destination),
            (&["recipients"], "a@b.example", Role::Destination),
            (&["reply_to"], "a@b.example", Role::Destination),
            (&["message", "to"], "a@b.example", Role::Destination),
            (&["channel_id"], "C024", Role::Destination),
            (&["webhookUrl"], "https://a.example", Role::Destination),
            (&["body"], "hello", Role::Content),
            (&["to"], &long, Role::Destination),
            (&["x"], &long, Role::Content),
            (&["files", "a.yml"], "a:\n  b", Role::Content),
            (&["event_id"], "12", Role::Selector),
            (&["messageId"], "18f3a01", Role::Selector),
            (&["comment_id"], "Please read this one", Role::Content),
            (&["message"], "18f3a01", Role::Content),
            (&["date"], "2026-11-29", Role::Selector),
            (&["code"], "5038", Role::Selector),
            (&["code"], "print(1) or exit", Role::Content),
            (&["special_requests"], "a quiet room", Role::Content),
            (&[], "x", Role::Selector),
        ] {
            assert_eq!(of(path, text), role, "{path:?}");
        }
    }
}
