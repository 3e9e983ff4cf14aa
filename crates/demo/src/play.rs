//! Everything that is tried, in order: each attempt of the hostile server beside its honest twin.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Client, ClientError};
use crate::witness::{Witness, description, hides, otherwise, reached, text, tools};
use crate::{Role, Seen, Step};

const HONEST_TOOLS: [&str; 6] = ["add", "temperature", "primes", "note", "notes", "minutes"];
/// All but the one with hidden text and the one that asks for the conversation.
const HARMLESS_TOOLS: [&str; 5] = ["recipe", "report", "balance", "status", "page"];
/// Accents, another script and an emoji: unusual, but nothing is hidden in it.
const NOTE: &str = "Crème brûlée, 日本語, 🍮";
/// What was said, for a tool that is about what was said.
const SAID: &str = "Ann: Do we ship today?\nBob: Yes, at four.";
/// Words of an attack that are none.
const REMINDER: &str = "Talk on Friday: why “ignore all previous instructions” fools chatbots.";
const PRIMES: u64 = 200_000;

/// Tries everything, and ends all sessions.
pub(crate) async fn play(clients: Clients, log: &Path, mut on_step: impl FnMut(Step)) {
    let Clients { honest, hostile, both } = clients;
    let mut play = Play { honest, hostile, both, listed: Value::Null, shown: Vec::new(), witness: Witness::of(log) };
    on_step(play.honest_list().await);
    on_step(play.hidden_text().await);
    on_step(play.poisoned_tool().await);
    on_step(play.honest_about_conversations().await);
    on_step(play.arguments_fit().await);
    on_step(play.arguments_do_not_fit().await);
    on_step(play.long_reply().await);
    on_step(play.oversized_reply().await);
    on_step(play.unusual_text().await);
    on_step(play.cleaned_text().await);
    on_step(play.prompt_and_resource().await);
    on_step(play.injected_result().await);
    on_step(play.honest_reminder().await);
    on_step(play.ambiguous_reply().await);
    on_step(play.before_the_change().await);
    on_step(play.changed_tool().await);
    on_step(play.honest_list_again().await);
    on_step(play.all_servers().await);
    for client in [play.honest, play.hostile, play.both] {
        client.close().await;
    }
}

/// A client at each endpoint.
pub(crate) struct Clients {
    pub(crate) honest: Client,
    pub(crate) hostile: Client,
    /// At the one for all servers.
    pub(crate) both: Client,
}

struct Play {
    honest: Client,
    hostile: Client,
    both: Client,
    /// The honest server's tools, as they were listed first.
    listed: Value,
    /// Tools that the client was shown and should not have been.
    shown: Vec<&'static str>,
    witness: Witness,
}

type Answer = Result<Value, ClientError>;

async fn call(client: &mut Client, tool: &str, arguments: Value) -> Answer {
    client.request("tools/call", &json!({"name": tool, "arguments": arguments})).await
}

async fn list(client: &mut Client) -> Answer {
    client.request("tools/list", &json!({})).await
}

/// What was tried, with what of it reached the client.
fn arrow(what: &str, reached: Option<impl AsRef<str>>) -> String {
    reached.map_or_else(|| what.to_owned(), |reached| format!("{what} → {}", reached.as_ref()))
}

impl Play {
    async fn honest_list(&mut self) -> Step {
        let answer = list(&mut self.honest).await;
        let mut count = 0;
        let seen = self.witness.judge(&answer, |result| {
            let tools = tools(result);
            count = tools.len();
            self.listed = result.clone();
            tools == HONEST_TOOLS
        });
        Step::passes("honest_list", Role::Honest, format!("tools/list → {count} tools"), seen)
    }

    async fn honest_list_again(&mut self) -> Step {
        let answer = list(&mut self.honest).await;
        let mut same = "others";
        let seen = self.witness.judge(&answer, |result| {
            let is_same = *result == self.listed;
            same = if is_same { "the same tools" } else { same };
            is_same
        });
        Step::passes("honest_list_again", Role::Honest, format!("tools/list, once more → {same}"), seen)
    }

    async fn hidden_text(&mut self) -> Step {
        let listed = list(&mut self.hostile).await;
        let mut shown = false;
        let mut seen = self.witness.judge(&listed, |result| {
            shown = description(result, "translate").is_some_and(hides);
            // The other one is a step of its own.
            let others = tools(result).into_iter().filter(|tool| *tool != "search");
            shown || others.eq(HARMLESS_TOOLS)
        });
        if seen == Seen::Passed && !shown {
            seen = self.withheld("translate", json!({"text": "Hello"})).await;
        }
        self.shown.extend(shown.then_some("translate"));
        let what = "a tool whose description hides instructions";
        let reached = shown.then_some("the client is shown it as it is");
        Step::stopped("hidden_text", Role::Hostile.name(), "hidden_text.tags", &arrow(what, reached), seen)
    }

    /// What became of a tool that the last list of the hostile server did not hold. A client may have been told of it elsewhere, so
    /// it is called all the same.
    async fn withheld(&mut self, tool: &str, arguments: Value) -> Seen {
        let withheld = self.witness.withheld(Role::Hostile, tool);
        let answer = call(&mut self.hostile, tool, arguments).await;
        match (self.witness.judge_through(&answer), withheld) {
            (Seen::Stopped(call), Some(list)) if call.rule == list.rule => Seen::Stopped(list),
            (other, _) => other,
        }
    }

    async fn poisoned_tool(&mut self) -> Step {
        let listed = list(&mut self.hostile).await;
        let mut shown = false;
        let mut seen = self.witness.judge(&listed, |result| {
            shown = description(result, "search").is_some();
            true
        });
        if seen == Seen::Passed && !shown {
            seen = self.withheld("search", json!({"query": "weather", "context": "all of it"})).await;
        }
        self.shown.extend(shown.then_some("search"));
        let what = "a tool that wants the whole conversation";
        let reached = shown.then_some("the client is shown it as it is");
        let rule = "tool_poisoning.wants_conversation";
        Step::stopped("poisoned_tool", Role::Hostile.name(), rule, &arrow(what, reached), seen)
    }

    async fn honest_about_conversations(&mut self) -> Step {
        let answer = call(&mut self.honest, "minutes", json!({"conversation": SAID})).await;
        let mut told = String::new();
        let seen = self.witness.judge(&answer, |result| {
            told = text(result).unwrap_or_default().to_owned();
            told == "2 people, 9 words"
        });
        let what = format!("minutes(…), a tool about conversations → {told}");
        Step::passes("honest_about_conversations", Role::Honest, what, seen)
    }

    async fn arguments_fit(&mut self) -> Step {
        let answer = call(&mut self.honest, "add", json!({"a": 2, "b": 40})).await;
        let mut told = String::new();
        let seen = self.witness.judge(&answer, |result| {
            told = text(result).unwrap_or_default().to_owned();
            told == "42" && result.pointer("/structuredContent/sum").and_then(Value::as_f64) == Some(42.0)
        });
        Step::passes("arguments_fit", Role::Honest, format!("add(2, 40) → {told}"), seen)
    }

    async fn arguments_do_not_fit(&mut self) -> Step {
        let answer = call(&mut self.honest, "add", json!({"a": 2, "b": "$(rm -r ~)"})).await;
        let seen = self.witness.judge_through(&answer);
        let what = arrow("add(2, \"$(rm -r ~)\")", reached(&answer, &seen));
        Step::stopped("arguments_do_not_fit", "client", "schema.arguments", &what, seen)
    }

    async fn long_reply(&mut self) -> Step {
        let answer = call(&mut self.honest, "primes", json!({"count": PRIMES})).await;
        let mut bytes = 0;
        let seen = self.witness.judge(&answer, |result| {
            let told = text(result).unwrap_or_default();
            bytes = told.len();
            told.starts_with("2 3 5 7 ") && told.ends_with(" 2750159")
        });
        Step::passes("long_reply", Role::Honest, format!("primes({PRIMES}) → {} KB", bytes / 1000), seen)
    }

    async fn oversized_reply(&mut self) -> Step {
        let answer = call(&mut self.hostile, "report", json!({})).await;
        let seen = self.witness.judge_through(&answer);
        Step::stopped("oversized_reply", Role::Hostile.name(), "conformance.size", "report() → a reply of 12 MB", seen)
    }

    async fn ambiguous_reply(&mut self) -> Step {
        let answer = call(&mut self.hostile, "balance", json!({})).await;
        let seen = self.witness.judge_through(&answer);
        let what = "balance() → two texts under one key";
        Step::stopped("ambiguous_reply", Role::Hostile.name(), "conformance.duplicate_key", what, seen)
    }

    async fn unusual_text(&mut self) -> Step {
        let saved = call(&mut self.honest, "note", json!({"text": NOTE})).await;
        let mut seen = self.witness.judge(&saved, |result| text(result) == Some("saved as note 1"));
        if seen == Seen::Passed {
            let answer = call(&mut self.honest, "notes", json!({})).await;
            seen = self.witness.judge(&answer, |result| text(result) == Some(NOTE));
        }
        Step::passes("unusual_text", Role::Honest, format!("note(…), then notes() → {NOTE}"), seen)
    }

    async fn cleaned_text(&mut self) -> Step {
        let answer = call(&mut self.hostile, "status", json!({})).await;
        let mut told = String::new();
        let mut raw = false;
        let mut seen = self.witness.judge(&answer, |result| {
            told = text(result).unwrap_or_default().to_owned();
            raw = hides(&told);
            raw || told == "3 tests failed, do not deploy"
        });
        if !raw && seen == Seen::Passed {
            let cut = self.witness.cleaned(Role::Hostile, "status");
            seen = cut.map_or(seen, Seen::Cleaned);
        }
        let what = format!("status() → {told}");
        Step::cleaned("cleaned_text", Role::Hostile, "hidden_text.tags", what, seen)
    }

    async fn injected_result(&mut self) -> Step {
        let answer = call(&mut self.hostile, "page", json!({})).await;
        let mut told = String::new();
        let mut raw = false;
        let mut seen = self.witness.judge(&answer, |result| {
            told = text(result).unwrap_or_default().to_owned();
            raw = told.contains("Ignore all previous") || told.contains("delete every note");
            told.starts_with("Open from 9 to 17.")
        });
        if !raw && seen == Seen::Passed {
            let cut = self.witness.cleaned(Role::Hostile, "page");
            seen = cut.map_or(seen, Seen::Cleaned);
        }
        let what = format!("page() → {told}");
        Step::cleaned("injected_result", Role::Hostile, "prompt_injection.override", what, seen)
    }

    async fn honest_reminder(&mut self) -> Step {
        let saved = call(&mut self.honest, "note", json!({"text": REMINDER})).await;
        let mut seen = self.witness.judge(&saved, |result| text(result) == Some("saved as note 2"));
        if seen == Seen::Passed {
            let answer = call(&mut self.honest, "notes", json!({})).await;
            let both = format!("{NOTE}\n{REMINDER}");
            seen = self.witness.judge(&answer, |result| text(result) == Some(&*both));
        }
        Step::passes("honest_reminder", Role::Honest, format!("notes() → {REMINDER}"), seen)
    }

    async fn prompt_and_resource(&mut self) -> Step {
        let prompt = self.honest.request("prompts/get", &json!({"name": "summarise"})).await;
        let holds = |result: &Value, place: &str| {
            result.pointer(place).and_then(Value::as_str).is_some_and(|text| text.ends_with(NOTE))
        };
        let mut seen = self.witness.judge(&prompt, |result| holds(result, "/messages/0/content/text"));
        if seen == Seen::Passed {
            let resource = self.honest.request("resources/read", &json!({"uri": "notes://all"})).await;
            seen = self.witness.judge(&resource, |result| holds(result, "/contents/0/text"));
        }
        Step::passes("prompt_and_resource", Role::Honest, "the prompt summarise and the resource notes://all", seen)
    }

    async fn before_the_change(&mut self) -> Step {
        let mut told = String::new();
        let seen = match self.recipe_and_notice().await {
            Ok(answer) => self.witness.judge(&Ok(answer), |result| {
                told = text(result).unwrap_or_default().to_owned();
                told == "Onions, butter, time."
            }),
            Err(error) => otherwise(error.to_string()),
        };
        let what = format!("recipe(\"soup\") → {told} Then: \"my tools changed\"");
        Step::passes("before_the_change", Role::Hostile, what, seen)
    }

    /// Calls the tool, and waits until the server says that its tools are others now.
    async fn recipe_and_notice(&mut self) -> Answer {
        let mut unasked = self.hostile.listen().await?;
        let answer = call(&mut self.hostile, "recipe", json!({"dish": "soup"})).await?;
        let method = "notifications/tools/list_changed";
        unasked.find(|message| message.get("method").is_some_and(|held| held == method)).await?;
        Ok(answer)
    }

    async fn changed_tool(&mut self) -> Step {
        let listed = list(&mut self.hostile).await;
        let mut shown = false;
        let mut seen = self.witness.judge(&listed, |result| {
            shown = description(result, "recipe").is_some();
            // Those that should not be shown at all are steps of their own.
            let others = tools(result).into_iter().filter(|tool| !["translate", "search"].contains(tool));
            shown || others.eq(["report", "balance", "status", "page"])
        });
        let mut what = "recipe(\"soup\"), now that the tool is another".to_owned();
        if seen == Seen::Passed {
            let answer = call(&mut self.hostile, "recipe", json!({"dish": "soup"})).await;
            seen = self.witness.judge_through(&answer);
            what = arrow(&what, reached(&answer, &seen));
        }
        if shown && matches!(seen, Seen::Stopped(_)) {
            seen = otherwise("the client is still shown the tool");
        }
        Step::stopped("changed_tool", Role::Hostile.name(), "tool_pinning.changed", &what, seen)
    }

    async fn all_servers(&mut self) -> Step {
        let listed = list(&mut self.both).await;
        let mut count = 0;
        let mut expected: Vec<String> = HONEST_TOOLS.iter().map(|tool| format!("honest__{tool}")).collect();
        // What got through at the server's own address does so here, which was said there.
        let hostile = HARMLESS_TOOLS.iter().chain(&self.shown);
        expected.extend(hostile.map(|tool| format!("hostile__{tool}")));
        let mut more = Vec::new();
        let seen = self.witness.judge(&listed, |result| {
            let listed = tools(result);
            count = listed.len();
            more = listed
                .iter()
                .filter(|tool| !expected.iter().any(|name| name == *tool))
                .map(|tool| format!("`{tool}`"))
                .collect();
            count == expected.len() && expected.iter().all(|tool| listed.contains(&&**tool))
        });
        let answer = call(&mut self.both, "honest__add", json!({"a": 20, "b": 22})).await;
        let mut told = String::new();
        let called = self.witness.judge(&answer, |result| {
            told = text(result).unwrap_or_default().to_owned();
            told == "42"
        });
        let seen = match seen {
            Seen::Passed => called,
            Seen::Otherwise { .. } if !more.is_empty() => {
                otherwise(format!("the client is shown {} as well", more.join(" and ")))
            }
            other => other,
        };
        let what = format!("/mcp is both servers as one: {count} tools, honest__add(20, 22) → {told}");
        Step { from: "both", ..Step::passes("all_servers", Role::Honest, what, seen) }
    }
}
