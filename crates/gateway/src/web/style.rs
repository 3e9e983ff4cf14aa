//! How pages look.

/// The stylesheet of all pages. Its colours have names, one value each for light and for dark.
pub(super) const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::STYLE;

    /// By how much a text has to stand out from what is behind it (WCAG 2, 1.4.3), and a line (1.4.11).
    const TEXT: f64 = 4.5;
    const LINE: f64 = 3.0;
    /// What browsers draw pages on, and texts with, where those are left to them: in light, and in dark (Chromium, Firefox, Safari).
    const LIGHT: System = System { canvas: &["#fff"], text: &["#000"] };
    const DARK: System = System { canvas: &["#121212", "#1c1b22", "#1e1e1e"], text: &["#fff", "#fbfbfe"] };

    struct System {
        canvas: &'static [&'static str],
        text: &'static [&'static str],
    }

    /// A selector, whether it is only for dark, and what it says.
    struct Rule<'a> {
        selector: &'a str,
        is_dark: bool,
        says: Vec<(&'a str, &'a str)>,
    }

    impl<'a> Rule<'a> {
        fn get(&self, name: &str) -> Option<&'a str> {
            self.says.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
        }
    }

    fn rules(mut css: &str) -> Vec<Rule<'_>> {
        assert!(!css.contains("/*"), "comments are not read here");
        let (mut rules, mut is_dark) = (Vec::new(), false);
        while let Some((selector, rest)) = css.split_once('{') {
            let selector = selector.trim();
            if selector.starts_with('@') {
                assert_eq!((selector, is_dark), ("@media (prefers-color-scheme: dark)", false));
                (is_dark, css) = (true, rest);
                continue;
            }
            let (body, rest) = rest.split_once('}').unwrap();
            let says = body.split(';').filter(|one| !one.trim().is_empty()).map(|one| {
                let (name, value) = one.split_once(':').unwrap();
                (name.trim(), value.trim())
            });
            rules.push(Rule { selector, is_dark, says: says.collect() });
            // What is only for dark is at the end.
            css = rest;
        }
        assert_eq!(css.trim(), if is_dark { "}" } else { "" });
        rules
    }

    /// The light of a colour, from 0 to 1.
    fn luminance(colour: &str) -> f64 {
        let digits: Vec<_> =
            colour.strip_prefix('#').unwrap().chars().map(|digit| digit.to_digit(16).unwrap()).collect();
        let channel = |at: usize| {
            let value = match digits.len() {
                3 => 17 * digits[at],
                6 => 16 * digits[2 * at] + digits[2 * at + 1],
                _ => panic!("{colour} is no colour"),
            };
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// The least contrast of any two of them.
    fn least(ones: &[&str], others: &[&str]) -> f64 {
        let all = ones.iter().flat_map(|one| others.iter().map(move |other| contrast(one, other)));
        all.fold(f64::INFINITY, f64::min)
    }

    /// The name in `var(--name)`, wherever that stands in a value.
    fn named(value: &str) -> Option<&str> {
        Some(value.split_once("var(")?.1.split_once(')')?.0)
    }

    /// What a value may look like.
    fn colours<'a>(value: &'a str, names: &BTreeMap<&str, &'a str>, system: &System) -> Vec<&'a str> {
        match (value, named(value)) {
            ("Canvas", _) => system.canvas.to_vec(),
            ("CanvasText", _) => system.text.to_vec(),
            (_, Some(name)) => vec![names.get(name).unwrap_or_else(|| panic!("{name} is not defined"))],
            _ => panic!("{value} is none of the colours that are checked here"),
        }
    }

    #[test]
    fn contrast_is_as_the_standard_computes_it() {
        for (one, other, expected) in [
            ("#000", "#fff", 21.0),
            ("#fff", "#ffffff", 1.0),
            ("#777", "#fff", 4.48),
            ("#767676", "#fff", 4.54),
            ("#f00", "#fff", 4.0),
        ] {
            let found = contrast(one, other);
            assert!((found - expected).abs() < 0.01, "{one} {other}: {found}");
        }
    }

    #[test]
    fn colours_have_names_and_all_of_them_are_used() {
        let (rules, mut defined, mut used) = (rules(STYLE), BTreeSet::new(), BTreeSet::new());
        for rule in &rules {
            assert!(!rule.is_dark || rule.selector == ":root", "only colours differ in dark: {}", rule.selector);
            for (name, value) in &rule.says {
                if name.starts_with("--") {
                    assert_eq!(rule.selector, ":root");
                    assert!(!rule.is_dark || defined.contains(name), "{name} is only for dark");
                    defined.insert(*name);
                } else {
                    assert!(
                        !value.contains('#') && !value.contains("rgb"),
                        "{} {name}: {value} has no name",
                        rule.selector
                    );
                    used.extend(named(value));
                }
            }
        }
        assert_eq!(defined, used);
    }

    #[test]
    fn texts_and_lines_stand_out_in_light_and_in_dark() {
        let rules = rules(STYLE);
        let names_of = |dark: bool| -> BTreeMap<_, _> {
            let roots = rules.iter().filter(|rule| rule.selector == ":root" && (dark || !rule.is_dark));
            roots.flat_map(|rule| rule.says.iter().copied()).filter(|(name, _)| name.starts_with("--")).collect()
        };
        for (theme, names, system) in [("light", names_of(false), LIGHT), ("dark", names_of(true), DARK)] {
            let (mut texts, mut lines) = (Vec::new(), 0);
            for rule in &rules {
                let text = rule.get("color").map(|value| colours(value, &names, &system));
                let behind = rule.get("background").map(|value| colours(value, &names, &system));
                match (text, behind) {
                    (Some(text), Some(behind)) => {
                        let found = least(&text, &behind);
                        assert!(found >= TEXT, "{theme}: the text of `{}` has {found:.2}", rule.selector);
                        texts.push(rule.selector);
                    }
                    // What is behind a text is said beside it; a picture has none.
                    (None, Some(_)) => assert_eq!(rule.selector, ".qr"),
                    (Some(_), None) => panic!("`{}` says nothing of what is behind its text", rule.selector),
                    (None, None) => {}
                }
                let drawn =
                    rule.says.iter().filter(|(name, _)| name.starts_with("border") || name.starts_with("outline"));
                for (name, value) in drawn.filter(|(_, value)| named(value).is_some()) {
                    let found = least(&colours(value, &names, &system), system.canvas);
                    assert!(found >= LINE, "{theme}: `{name}` of `{}` has {found:.2}", rule.selector);
                    lines += 1;
                }
                // What is half seen is what cannot be used.
                assert!(rule.get("opacity").is_none() || rule.selector.ends_with(":disabled"), "{}", rule.selector);
            }
            assert_eq!((&texts[..], lines), (&["body", "button", "button.main"][..], 3), "{theme}");
        }
    }
}
