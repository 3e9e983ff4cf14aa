//! Names that somebody may take for each other although they are spelt otherwise.

/// Whether somebody may read the one as the other: Go, Java and .NET match the keys of an object without case.
pub(crate) fn are_alike(one: &str, other: &str) -> bool {
    folded(one).eq(folded(other))
}

/// Both ways, so that letters are alike which share their upper case only.
fn folded(name: &str) -> impl Iterator<Item = char> {
    let upper = name.chars().flat_map(|letter| match letter {
        '\u{130}' => 'I'.to_uppercase(),
        other => other.to_uppercase(),
    });
    upper.flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_in_case_is_alike() {
        for (one, other, alike) in [
            ("amount", "amount", true),
            ("amount", "Amount", true),
            ("amount", "AMOUNT", true),
            ("tasks", "ta\u{17F}ks", true),
            ("key", "\u{212A}ey", true),
            ("id", "\u{131}d", true),
            ("id", "\u{130}d", true),
            ("\u{fc}ber", "\u{dc}BER", true),
            ("\u{3c3}", "\u{3c2}", true),
            ("amount", "amounts", false),
            ("amount", "a_mount", false),
            ("amount", "", false),
            ("uber", "\u{fc}ber", false),
        ] {
            assert_eq!(are_alike(one, other), alike, "{one} {other}");
            assert_eq!(are_alike(other, one), alike, "{other} {one}");
        }
    }
}
