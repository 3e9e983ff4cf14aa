//! The words of a name, however they are joined: `getUserEmails`, `get_user_emails`, `get-user.emails`.

/// The words of a name, in lower case.
pub(crate) fn of_name(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && before.is_lowercase() || c.is_numeric() != before.is_numeric();
        if (!c.is_alphanumeric() || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether a word is one of `list`, as it stands there.
pub(crate) fn is_in(word: &str, list: &str) -> bool {
    list.split_ascii_whitespace().any(|held| held == word)
}

/// Whether a word is one of `list`, also in its plural.
pub(crate) fn is_among(word: &str, list: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    let of_ies = word.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let of_es = word.strip_suffix("es").unwrap_or(word);
    list.split_ascii_whitespace()
        .any(|held| held == word || held == singular || held == of_es || Some(held) == of_ies.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_words() {
        for (name, words) in [
            ("getUserEmails", vec!["get", "user", "emails"]),
            ("get_user_emails", vec!["get", "user", "emails"]),
            ("mail.send-message", vec!["mail", "send", "message"]),
            ("HTTPFetch", vec!["httpfetch"]),
            ("s3_put", vec!["s", "3", "put"]),
            ("", vec![]),
        ] {
            assert_eq!(of_name(name), words, "{name}");
        }
        for (word, list) in [("replies", "send reply"), ("emails", "email"), ("inboxes", "inbox"), ("news", "news")] {
            assert!(is_among(word, list), "{word}");
        }
        assert!(!is_among("bus", "buy"));
    }
}
