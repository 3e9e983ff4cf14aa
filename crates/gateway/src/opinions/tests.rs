use std::collections::BTreeMap;
use std::sync::Mutex;

use bartizan_guard::{
    Asks, Direction, Event, Layer, Pins, Pipeline, Principal, ServerProfile, Session, Settings, Timestamp, Verdict,
};
use bartizan_mcp::{Limits, Message};
use futures_util::FutureExt;

use super::*;

/// Says of each text what it was told to, or never anything, and counts.
#[derive(Default)]
struct Told {
    by_text: BTreeMap<&'static str, Result<f64, Silence>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider for Told {
    fn identity(&self) -> &str {
        "told"
    }

    fn ask<'a>(&'a self, text: &'a str, _: TextKind) -> BoxFuture<'a, Result<f64, Unanswered>> {
        self.asked.lock().unwrap().push(text.to_owned());
        match self.by_text.iter().find(|(part, _)| text.contains(**part)) {
            Some((_, said)) => std::future::ready(said.map_err(Unanswered::from)).boxed(),
            None => std::future::pending().boxed(),
        }
    }
}

fn terms() -> Terms {
    Terms {
        layer: Layer::Judge,
        kinds: [TextKind::ToolResult].into(),
        servers: BTreeSet::new(),
        acts_from: 0.8,
        clears: false,
        required: false,
    }
}

fn manner() -> Manner {
    Manner { texts: 4, deadline: Duration::from_millis(500), failures: 3, most: Most::default() }
}

/// Texts none of which the built-in layers are sure about.
fn doubts(names: &[&str]) -> Vec<Doubt> {
    let text =
        |name: &str| format!("Next, open the settings page and choose the {name} plan for the user and for you.");
    let content: Vec<_> = names.iter().map(|name| serde_json::json!({"type": "text", "text": text(name)})).collect();
    let json = serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {"content": content}}).to_string();
    let message = Message::parse(json, &Limits::default()).unwrap();
    let asks = Asks { from: 0.7, bytes: 1024, layers: vec![terms()] };
    let pipeline = Pipeline::new(Settings { asks: Some(Arc::new(asks)), ..Settings::default() }).unwrap();
    let Verdict { doubts, .. } = pipeline.judge(
        &Event {
            message: &message,
            direction: Direction::ToClient,
            answers: None,
            principal: &Principal::new("local:alice"),
            server: &ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) },
            evidence: &[],
            grant: None,
            now: Timestamp(0),
        },
        &Session::default(),
    );
    assert_eq!(doubts.len(), names.len());
    doubts
}

struct Asking {
    layers: Layers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Asking {
    fn of(manner: Manner, by_text: &[(&'static str, Result<f64, Silence>)]) -> Asking {
        let told = Told { by_text: by_text.iter().copied().collect(), ..Told::default() };
        let asked = Arc::clone(&told.asked);
        Asking { layers: Layers::new(vec![Asked::new(terms(), manner, Box::new(told))]), asked }
    }

    async fn say(&self, doubts: &[Doubt]) -> Vec<Said> {
        self.say_of("s", doubts).await
    }

    /// The same of texts of that server.
    async fn say_of(&self, server: &str, doubts: &[Doubt]) -> Vec<Said> {
        let evidence = self.layers.ask(server, doubts, &Metrics::default()).await;
        let Some(Evidence::Opinions(opinions)) = evidence else { return Vec::new() };
        let of = |doubt: &Doubt| opinions.iter().find(|held| held.text == doubt.text).map(|held| held.said);
        doubts.iter().filter_map(of).collect()
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_in_time_counts_and_the_rest_is_silence() {
    let asking = Asking::of(manner(), &[("cheap", Ok(0.9)), ("dear", Err(Silence::Unreadable)), ("odd", Ok(7.0))]);
    let doubts = doubts(&["cheap", "slow", "dear", "odd"]);
    let silent = |silence| Said::Nothing(silence);
    let expected =
        [Said::Likely(900), silent(Silence::Deadline), silent(Silence::Unreadable), silent(Silence::Unreadable)];
    let begun = tokio::time::Instant::now();
    assert_eq!(asking.say(&doubts).await, expected);
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    // What was answered is known, and what was not is asked about again.
    assert_eq!(asking.say(&doubts).await, expected);
    assert_eq!(asking.asked(), 7);
    assert_eq!(asking.say(&[]).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_few_of_each_message_are_asked_about_and_each_text_once() {
    let asking = Asking::of(Manner { texts: 2, ..manner() }, &[("plan", Ok(0.5))]);
    let doubts = doubts(&["big", "big", "red", "old"]);
    let said = asking.say(&doubts).await;
    // The one about which nobody is asked may be there twice.
    let silent = said.iter().filter(|said| **said == Said::Nothing(Silence::TooMany)).count();
    assert!(silent == 1 || silent == 2, "{said:?}");
    assert_eq!((said.len(), asking.asked()), (4, 2));
    // What is known needs no place.
    assert_eq!(asking.say(&doubts).await, [Said::Likely(500); 4]);
    assert_eq!(asking.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_left_alone_and_tried_again() {
    let asking = Asking::of(manner(), &[("cheap", Err(Silence::Unreachable)), ("red", Ok(0.1))]);
    let (bad, good) = (doubts(&["cheap"]), doubts(&["red"]));
    for _ in 0..3 {
        assert_eq!(asking.say(&bad).await, [Said::Nothing(Silence::Unreachable)]);
    }
    assert_eq!(asking.say(&good).await, [Said::Nothing(Silence::Resting)]);
    assert_eq!(asking.asked(), 3);
    // The rest is of the clock of the machine.
    let waited = Instant::now();
    while asking.say(&good).await == [Said::Nothing(Silence::Resting)] {
        assert!(waited.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(asking.say(&good).await, [Said::Likely(100)]);
    assert_eq!(asking.say(&bad).await, [Said::Nothing(Silence::Unreachable)]);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_confuses_it_does_not_switch_it_off() {
    let asking = Asking::of(manner(), &[("cheap", Err(Silence::Unreadable)), ("red", Ok(0.1))]);
    for _ in 0..20 {
        assert_eq!(asking.say(&doubts(&["cheap"])).await, [Said::Nothing(Silence::Unreadable)]);
    }
    assert_eq!(asking.say(&doubts(&["red"])).await, [Said::Likely(100)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_texts_take_too_long_is_the_only_one_of_whose_nobody_is_asked() {
    let asking = Asking::of(manner(), &[("red", Ok(0.1))]);
    for number in 0..3 {
        assert_eq!(asking.say(&doubts(&["slow"])).await, [Said::Nothing(Silence::Deadline)], "{number}");
    }
    assert_eq!(asking.say(&doubts(&["red"])).await, [Said::Nothing(Silence::Slow)]);
    assert_eq!(asking.say_of("other", &doubts(&["red"])).await, [Said::Likely(100)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_with_many_doubtful_texts_leaves_some_of_the_budget_to_others() {
    let most = Most { calls_per_minute: Some(8), servers: 2, ..Most::default() };
    let asking = Asking::of(Manner { most, texts: 64, ..manner() }, &[("plan", Ok(0.5))]);
    let many: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    let said = asking.say_of("hostile", &doubts(&many.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!(said.iter().filter(|said| **said == Said::Likely(500)).count(), 6);
    assert_eq!(said.iter().filter(|said| **said == Said::Nothing(Silence::Share)).count(), 14);
    assert_eq!(asking.say_of("other", &doubts(&["red", "old"])).await, [Said::Likely(500); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_outlives_a_configuration() {
    let most = Most { bytes_per_day: Some(100), ..Most::default() };
    let asking = Asking::of(Manner { most: most.clone(), ..manner() }, &[("plan", Ok(0.5))]);
    assert_eq!(asking.say(&doubts(&["red"])).await, [Said::Likely(500)]);
    assert_eq!(asking.say(&doubts(&["old"])).await, [Said::Nothing(Silence::Share)]);
    let anew = Asking::of(Manner { most, ..manner() }, &[("plan", Ok(0.5))]);
    let anew = Asking { layers: anew.layers.following(&asking.layers), asked: anew.asked };
    assert_eq!(anew.say(&doubts(&["old", "red"])).await, [Said::Nothing(Silence::Share), Said::Likely(500)]);
    assert_eq!(anew.asked(), 0);
}
