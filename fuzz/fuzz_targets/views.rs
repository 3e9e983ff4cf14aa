//! Any text as it is meant, decoded, and looked at by all layers: nothing panics, every place of every reading leads back
//! into the text, and what is read stays within a few times its length.
#![no_main]

use std::sync::LazyLock;

use bartizan_detect::decode::Views;
use bartizan_detect::normal::Normal;
use bartizan_detect::{Engine, Kind};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

fuzz_target!(|text: &str| {
    let normal = Normal::of(text);
    assert!(normal.text().len() <= 3 * text.len(), "{} of {}", normal.text().len(), text.len());
    for (at, c) in normal.text().char_indices() {
        let original = normal.original(at..at + c.len_utf8());
        assert!(!original.is_empty() && text.get(original.clone()).is_some(), "{at}: {original:?}");
    }

    let views = Views::of(text);
    let read: usize = views.iter().map(|view| view.text().len()).sum();
    assert!(read <= 12 * text.len() + 12_288, "{read} of {}", text.len());
    for view in views.iter() {
        for (at, c) in view.text().char_indices() {
            let original = views.original(view, at..at + c.len_utf8());
            assert!(original.start <= original.end && text.get(original.clone()).is_some(), "{:?} {at}: {original:?}", view.how);
        }
    }

    for kind in Kind::ALL {
        let look = ENGINE.look(text, kind);
        assert!((0.0..=1.0).contains(&look.score), "{}", look.score);
        for found in &look.found {
            let places = std::iter::once(&found.span).chain(&found.also);
            assert!(places.clone().all(|place| !place.is_empty() && text.get(place.clone()).is_some()), "{found:?}");
            assert!(places.clone().zip(places.skip(1)).all(|(one, next)| one.end <= next.start), "{found:?}");
        }
    }
});
