//! What looks like a secret and is none: placeholders, examples of documentation, names, paths and code.

/// Bytes that are looked at; what begins like none is none.
const READ: usize = 96;

/// Words that nobody's secret holds, but for one in 10,000.
const WORDS: [&str; 24] = [
    "example",
    "placeholder",
    "your",
    "xxxx",
    "dummy",
    "sample",
    "changeme",
    "change_me",
    "change-me",
    "redact",
    "replace",
    "insert",
    "fake",
    "todo",
    "notreal",
    "not_real",
    "not-real",
    "testtest",
    "foobar",
    "deadbeef",
    "secrethere",
    "abcdefg",
    "0123456",
    "1234567",
];

/// Whether letters that a machine drew look as if nobody had: an example, or the same again and again.
pub(super) fn is_placeholder(body: &str) -> bool {
    let head = body.get(..body.floor_char_boundary(READ)).unwrap_or(body);
    let lower = head.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word)) || is_regular(head.as_bytes())
}

/// Whether letters follow a rule that one sees: few different ones, each the next of the last, or a piece repeated.
fn is_regular(bytes: &[u8]) -> bool {
    /// Letters in a row that are each the next one, the last one or the same: random ones are in one of 5,000.
    const STEPS: usize = 6;
    let fewest = (bytes.len() / 3).min(6);
    if distinct(bytes) < fewest {
        return true;
    }
    let (mut step, mut count) = (i16::MAX, 1);
    for pair in bytes.windows(2) {
        let [one, next] = pair else { continue };
        let now = i16::from(*next) - i16::from(*one);
        count = if now == step && (-1..=1).contains(&now) { count + 1 } else { 2 };
        step = now;
        if count >= STEPS {
            return true;
        }
    }
    let repeats = |period: usize| bytes.iter().zip(bytes.iter().skip(period)).all(|(one, other)| one == other);
    bytes.len() >= 12 && (1..=8).any(repeats)
}

/// How many different bytes there are.
pub(super) fn distinct(bytes: &[u8]) -> usize {
    let mut seen = [0_u64; 4];
    for byte in bytes {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    seen.iter().map(|word| word.count_ones() as usize).sum()
}

/// Which of small letters, capital ones, digits and others there are, and how many of them.
pub(super) fn classes(text: &str) -> usize {
    let has = |is: fn(&u8) -> bool| usize::from(text.as_bytes().iter().any(is));
    has(u8::is_ascii_lowercase) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_digit) + has(u8::is_ascii_punctuation)
}

/// Whether text stands for a value that is put there later, or is a piece of code.
pub(super) fn is_template(value: &str) -> bool {
    const STARTS: [&str; 10] = ["$", "<", "%", "{", "[", "(", "@", "*", "&", "#"];
    const HOLDS: [&str; 17] = [
        "${", "{{", "}}", "%s", "%(", "...", "…", "***", "•", "process.", "environ", "getenv", "secrets.", "()", "::",
        "->", "://",
    ];
    STARTS.iter().any(|start| value.starts_with(start)) || HOLDS.iter().any(|held| value.contains(held))
}

/// Bits for each letter, by how often each is there.
pub(super) fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in bytes.iter().take(READ) {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = bytes.len().min(READ) as f32;
    let term = |count: &u16| {
        let share = f32::from(*count) / all;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(term).sum()
}

/// Words of ordinary language and of code that passwords in examples are made of.
const COMMON: [&str; 44] = [
    "password",
    "passwd",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "pass",
    "secret",
    "secrets",
    "token",
    "tokens",
    "letmein",
    "hunter2",
    "admin",
    "root",
    "guest",
    "user",
    "test",
    "testing",
    "demo",
    "none",
    "null",
    "undefined",
    "true",
    "false",
    "string",
    "changeit",
    "qwerty",
    "swordfish",
    "postgres",
    "mysql",
    "mongo",
    "redis",
    "rabbitmq",
    "guitar",
    "default",
    "welcome",
    "required",
    "optional",
    "hidden",
    "bearer",
    "basic",
    "pwd",
    "foo",
    "bar",
];

/// Whether a password is a word that stands in many examples, perhaps with a number behind it.
pub(super) fn is_common(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let word = lower.trim_end_matches(|c: char| c.is_ascii_digit() || "!-_.".contains(c));
    word.len() < 3 || COMMON.contains(&word) || COMMON.contains(&&*lower)
}

/// Whether it is a name of code or a path: words of letters with signs or capital letters between them.
pub(super) fn is_words(value: &str) -> bool {
    let words = value.split(|c: char| !c.is_ascii_alphanumeric());
    let is_word = |word: &str| {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        // Two capital letters within small ones are no name.
        letters.bytes().all(|byte| byte.is_ascii_alphabetic())
            && word.len() - letters.len() <= 3
            && humps(letters) * 3 <= letters.len()
    };
    words.into_iter().all(is_word)
}

/// How often a capital letter follows a small one or the other way round, but for a first one.
fn humps(word: &str) -> usize {
    let pairs = word.as_bytes().windows(2);
    pairs.filter(|pair| matches!(pair, [one, next] if one.is_ascii_lowercase() && next.is_ascii_uppercase())).count()
}

/// Whether it is the name of something and no secret of it: a UUID, or a digest that says so.
pub(super) fn is_identifier(value: &str) -> bool {
    is_uuid(value)
        || ["sha1-", "sha256-", "sha384-", "sha512-", "sha256:", "sha1:", "sha512:", "md5:"]
            .iter()
            .any(|start| value.starts_with(start))
}

/// Whether it is a UUID.
pub(super) fn is_uuid(value: &str) -> bool {
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = |(at, byte): (usize, u8)| if is_dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    value.len() == 36 && value.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_told() {
        for text in [
            "IOSFODNN7EXAMPLE",
            "xxxxxxxxxxxxxxxxxxxx",
            "XXXXXXXXXXXXXXXX",
            "your_api_key_here",
            "0000000000000000",
            "abababababababab",
            "abcdefghijklmnopqrstuvwxyz",
            "1234567890abcdef",
            "00000000000000000000000000000001",
            "123412341234123412341234",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["3f9a1c77be02d46188e5a0c94b7d2f10", "kQ7vR2mXw9ZpLt4N", "J6W2QK7TZP4RM3XA"] {
            assert!(!is_placeholder(text), "{text}");
        }
        for text in
            ["${TOKEN}", "<token>", "{{ .Values.key }}", "$API_KEY", "process.env.KEY", "****", "os.environ['X']"]
        {
            assert!(is_template(text), "{text}");
        }
        for text in ["get_access_token", "myAccessToken", "path/to/file", "some-words-here", "AccessTokenProvider2"] {
            assert!(is_words(text), "{text}");
        }
        assert!(!is_words("kQ7vR2mXw9ZpLt4N") && !is_words("3f9a1c77be02d46188e5a0c94b7d2f10"));
        assert!(is_common("Password123!") && is_common("hunter2") && !is_common("kQ7vR2mX"));
    }
}
