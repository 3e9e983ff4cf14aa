//! What a client is told that has to wait for somebody's agreement.

use bartizan_mcp::{Era, Id, quote};

/// A request for approval that waits, as the client is to learn of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asking {
    /// What the request is called.
    pub(crate) id: String,
    /// The page on which somebody decides, if there are pages.
    pub(crate) url: Option<String>,
    /// What the client's user is told whom it has go there.
    pub(crate) invitation: String,
    /// What to do, in a sentence without its full stop.
    pub(crate) what_to_do: String,
    /// How the client is asked.
    pub(crate) form: Form,
}

/// How a client is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// It cannot be, so it is told as in any refusal.
    Plain,
    /// By the error that lists addresses to go to (2025-11-25).
    Error,
    /// By a result that asks for input, with this state (2026-07-28).
    Input(String),
}

/// Code of the error that asks the client's user to go to an address, since 2025-11-25.
const URL_ELICITATION_REQUIRED: i64 = -32_042;
/// By this key the client answers.
pub(crate) const KEY: &str = "bartizan-approval";

impl Asking {
    /// The answer in its form, as JSON; `None` for the form of any refusal. `text` is what the refusal says, which the log
    /// and a model have a use for; whoever is sent to a page is told that.
    pub(crate) fn answer(&self, id: &Id, era: Era, text: &str) -> Option<String> {
        let (id, url) = (id.to_json(), quote(self.url.as_deref()?));
        match (&self.form, era) {
            (Form::Error, Era::Legacy) => {
                let (own, text, invitation) = (quote(&self.id), quote(text), quote(&self.invitation));
                let one = format!(r#"{{"mode":"url","elicitationId":{own},"url":{url},"message":{invitation}}}"#);
                Some(format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{URL_ELICITATION_REQUIRED},"message":{text},"data":{{"elicitations":[{one}]}}}}}}"#
                ))
            }
            (Form::Input(state), Era::Stateless) => {
                let (state, invitation) = (quote(state), quote(&self.invitation));
                let params = format!(r#"{{"mode":"url","url":{url},"message":{invitation}}}"#);
                let asked = format!(r#"{{"method":"elicitation/create","params":{params}}}"#);
                Some(format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required","inputRequests":{{"{KEY}":{asked}}},"requestState":{state}}}}}"#
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Limits, Message};

    use super::*;

    #[test]
    fn each_era_is_asked_in_its_own_form_and_in_no_other() {
        let asking = |form, url: Option<&str>| Asking {
            id: "a1".to_owned(),
            url: url.map(str::to_owned),
            invitation: "Open the \"page\".".to_owned(),
            what_to_do: String::new(),
            form,
        };
        let url = Some("http://127.0.0.1/bartizan/approve/a1");
        let input = Form::Input("s\"t".to_owned());
        for (form, era, url, expected) in [
            (Form::Plain, Era::Legacy, url, None),
            (Form::Plain, Era::Stateless, url, None),
            (Form::Error, Era::Stateless, url, None),
            (input.clone(), Era::Legacy, url, None),
            (Form::Error, Era::Legacy, None, None),
            (Form::Error, Era::Legacy, url, Some(&["error", "data", "elicitations"][..])),
            (input, Era::Stateless, url, Some(&["result", "inputRequests", KEY, "params", "url"])),
        ] {
            let answer = asking(form.clone(), url).answer(&Id::from(7), era, "somebody's \"yes\"");
            let read = answer.map(|answer| Message::parse(answer, &Limits::default()).unwrap());
            assert_eq!(read.is_some(), expected.is_some(), "{form:?} {era:?}");
            if let Some((read, path)) = read.zip(expected) {
                let text = read.root().raw();
                assert!(read.root().at(path).is_some(), "{form:?} {era:?}");
                assert!(text.contains(r#""message":"Open the \"page\".""#), "{text}");
                assert_eq!(text.contains("somebody's"), era == Era::Legacy, "the refusal is the error's: {text}");
            }
        }
    }
}
