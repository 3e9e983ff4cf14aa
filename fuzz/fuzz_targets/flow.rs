#![no_main]
//! Whatever a result brings and a call names, places stay within bounds, and what was brought in a field is known again.

use bartizan_guard::flow::{Bounds, Brought, Key, Memory, Origin, Source, ToolLabel, guess};
use bartizan_mcp::{Limits, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parse = |value: &str| Message::parse(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{value}}}"#), &Limits::default()).ok();
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let bounds = Bounds { sources: 8, values: 512, words: 4096 };
    for value in [text.to_owned(), format!(r#"{{"content":[{{"type":"text","text":{quoted}}}]}}"#), format!(r#"{{"to":{quoted}}}"#)] {
        let Some(message) = parse(&value) else { continue };
        let Some(result) = message.result() else { continue };
        let _ = guess(result);
        let mut memory = Memory::new(Key::new(7), bounds);
        let labels = [ToolLabel::UntrustedContent, ToolLabel::PrivateData].into_iter().collect();
        let brought = Brought::of(memory.key(), result, true, &|_| Vec::new());
        memory.bring(Source::of(&"s".into(), None, labels), &brought);
        let traces = memory.trace(("s", "send"), result, &|_| Vec::new());
        for traced in &traces.values {
            if let Origin::Field(source) | Origin::Prose(source) | Origin::Trusted(source) = traced.origin {
                assert!(source < traces.sources.len());
            }
        }
        assert!(traces.overlaps.iter().all(|overlap| overlap.source < traces.sources.len()));
    }
});
