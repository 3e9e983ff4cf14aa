//! Every rule finds what it is for and passes over what looks like it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod examples;

use std::collections::BTreeSet;

use bartizan_detect::rules::{Rule, THEMES};
use bartizan_detect::{Engine, Kind};
use examples::{Examples, of_theme};

/// Each rule with its examples.
fn examples() -> Vec<(&'static Rule, Examples)> {
    let mut all = Vec::new();
    for theme in THEMES {
        let mut examples = of_theme(theme.name);
        for rule in theme.rules {
            let held = examples.remove(rule.id).ok_or_else(|| format!("{} has no examples", rule.id));
            all.push((rule, held.unwrap()));
        }
        assert_eq!(examples.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "of {}", theme.name);
    }
    all
}

/// The kind of text in which a rule says most.
fn kind_of(rule: &Rule) -> Kind {
    Kind::ALL.into_iter().max_by_key(|kind| rule.likely.of(*kind)).unwrap()
}

#[test]
fn every_rule_finds_its_own_and_passes_over_its_twins() {
    let engine = Engine::new();
    let mut wrong = Vec::new();
    for (rule, examples) in examples() {
        assert!(examples.found.len() >= 3 && examples.passed.len() >= 3, "{} has too few examples", rule.id);
        for marked in &examples.found {
            let (before, rest) = marked.split_once('⟦').unwrap();
            let (phrase, after) = rest.split_once('⟧').unwrap();
            assert!(!phrase.is_empty());
            let text = format!("{before}{phrase}{after}");
            let wanted = before.len()..before.len() + phrase.len();
            let look = engine.look(&text, kind_of(rule));
            let places = look.found.iter().filter(|found| found.rule == rule.id);
            let places: Vec<_> =
                places.flat_map(|found| [found.span.clone()].into_iter().chain(found.also.clone())).collect();
            if !places.iter().any(|place| place.start <= wanted.start && wanted.end <= place.end) {
                let places: Vec<_> = places.iter().map(|place| text.get(place.clone()).unwrap()).collect();
                wrong.push(format!("{} does not find {marked:?}; it finds {places:?}", rule.id));
            }
        }
        for text in &examples.passed {
            for kind in Kind::ALL {
                if let Some(found) = engine.look(text, kind).found.iter().find(|found| found.rule == rule.id) {
                    wrong.push(format!("{} finds {:?} in {text:?}", rule.id, text.get(found.span.clone()).unwrap()));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ids_are_stable_names_and_no_two_alike() {
    let mut seen = BTreeSet::new();
    for rule in THEMES.iter().flat_map(|theme| theme.rules) {
        let name = rule.id.strip_prefix("prompt_injection.").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(seen.insert(rule.id), "{} is there twice", rule.id);
        assert!(rule.says.ends_with('.') && rule.about.ends_with('.'), "{}", rule.id);
        assert!(Kind::ALL.into_iter().all(|kind| rule.likely.of(kind) < 100), "{}", rule.id);
        assert!(Kind::ALL.into_iter().any(|kind| rule.likely.of(kind) > 0), "{}", rule.id);
    }
}
