//! Every format of secrets is found wherever it stands and however it is written, and what looks like one is not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]

mod samples;

use std::collections::BTreeMap;

use bartizan_detect::decode::Views;
use bartizan_detect::secrets::{Found, Group, Scanner, Sure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use samples::{Sample, samples};

fn look<'s>(scanner: &'s Scanner, text: &str) -> Vec<Found<'s>> {
    scanner.look(text, &Views::of(text), |_| false)
}

/// Whether what stands there is among what was found: most of it, as what stands around a secret may belong to it or not.
fn is_found(found: &[Found<'_>], sample: &Sample, text: &str, written: &str) -> bool {
    let at = text.find(written).unwrap();
    let place = at..at + written.len();
    let is_it = |found: &Found<'_>| {
        let (start, end) = (found.span.start.max(place.start), found.span.end.min(place.end));
        end > start && (end - start) * 10 >= (place.len() - sample.around) * 8 && found.sure > Sure::Doubtful
    };
    found.iter().any(is_it)
}

/// What a secret stands in.
const CONTEXTS: [(&str, &str); 11] = [
    ("prose", "Use {name} {secret} for the nightly run, please."),
    ("alone", "{secret}"),
    ("json", "{\"id\": 7, \"{name}\": \"{secret}\", \"ok\": true}"),
    ("env", "HOST=a\n{name}={secret}\nPORT=1\n"),
    ("yaml", "service:\n  {name}: {secret}\n  port: 1\n"),
    ("shell", "export {name}=\"{secret}\" && run"),
    ("url", "https://api.internal/v1/items?{name}={secret}&page=2"),
    ("log", "2026-11-29T10:00:00Z INFO request done {name}={secret} status=200"),
    ("code", "const {name} = '{secret}';"),
    ("rust", "const {name}: &str = \"{secret}\";"),
    ("table", "| {name} | {secret} |"),
];

const ENCODINGS: [&str; 6] = ["base64", "base64 of url", "hex", "percent", "unicode", "escaped json"];

fn encoded(text: &str, how: &str) -> String {
    let each = |write: fn(u8) -> String| text.bytes().map(write).collect::<String>();
    match how {
        "base64" => STANDARD.encode(text),
        "base64 of url" => URL_SAFE_NO_PAD.encode(text),
        "hex" => each(|byte| format!("{byte:02x}")),
        "percent" => each(|byte| format!("%{byte:02X}")),
        "unicode" => each(|byte| format!("\\u{byte:04x}")),
        _ => serde_json::to_string(&serde_json::json!({"text": text}).to_string()).unwrap(),
    }
}

#[test]
fn every_format_is_found_wherever_it_stands() {
    let scanner = Scanner::built_in();
    let (mut all, mut found_of_all) = (0, 0);
    let mut missed: BTreeMap<String, usize> = BTreeMap::new();
    let mut plain: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for seed in 0..4 {
        for sample in samples(&scanner, seed) {
            for (context, template) in CONTEXTS {
                // What is found by its name only has to have one.
                if sample.needs_name && !template.contains("{name}")
                    || sample.is_long && context != "alone" && context != "json"
                {
                    continue;
                }
                // A shape that goes on in the parameters of a URL is another one.
                let text = template.replace("{name}", &sample.name).replace("{secret}", &sample.text);
                let (text, written) = if context == "json" || context == "rust" {
                    let inside = serde_json::to_string(&sample.text).unwrap();
                    let inside = inside.trim_matches('"');
                    (template.replace("{name}", &sample.name).replace("{secret}", inside), inside.to_owned())
                } else {
                    (text, sample.text.clone())
                };
                let is = is_found(&look(&scanner, &text), &sample, &text, &written);
                let counts = plain.entry(sample.id.clone()).or_default();
                (counts.0, counts.1) = (counts.0 + usize::from(is), counts.1 + 1);
                (all, found_of_all) = (all + 1, found_of_all + usize::from(is));
                if !is {
                    *missed.entry(format!("{} in {context}: {text}", sample.shape)).or_default() += 1;
                }
            }
        }
    }
    let recall = found_of_all as f64 / all as f64;
    println!("{} samples of {} formats in {all} places: {recall:.4}", plain.len(), scanner.formats().len());
    missed.keys().take(if recall < 0.99 { 60 } else { 10 }).for_each(|missed| println!("missed {missed}"));
    assert!(recall >= 0.97, "{recall}");
    let never: Vec<_> = plain.iter().filter(|(_, (found, _))| *found == 0).map(|(id, _)| id).collect();
    assert!(never.is_empty(), "{never:?}");
    assert!(scanner.formats().iter().all(|format| plain.contains_key(&*format.id)), "a format without samples");
}

#[test]
fn every_format_is_found_in_every_encoding() {
    let scanner = Scanner::built_in();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for seed in 0..2 {
        for sample in samples(&scanner, seed) {
            for how in ENCODINGS {
                let line =
                    if sample.needs_name { format!("{}={}", sample.name, sample.text) } else { sample.text.clone() };
                let written = encoded(&line, how);
                let text = format!("Here it is: {written} as asked.");
                let found = look(&scanner, &text);
                let at = text.find(&written).unwrap();
                let is = found.iter().any(|found| {
                    found.span.start < at + written.len() && found.span.end > at && found.sure > Sure::Doubtful
                });
                let count = counts.entry(how).or_default();
                (count.0, count.1) = (count.0 + usize::from(is), count.1 + 1);
                if !is {
                    missed.push(format!("{} as {how}: {text}", sample.shape));
                }
            }
        }
    }
    println!("{counts:?}");
    missed.iter().take(25).for_each(|missed| println!("missed {missed}"));
    for (how, (found, all)) in counts {
        assert!(found * 100 >= all * 95, "{how}: {found} of {all}");
    }
}

#[test]
fn a_checksum_that_is_wrong_makes_nothing_certain() {
    let scanner = Scanner::built_in();
    let mut checked = 0;
    for sample in samples(&scanner, 7).into_iter().filter(|sample| sample.is_checked) {
        let [found] = scanner.look_at(&sample.text).try_into().unwrap();
        assert_eq!(found.sure, Sure::Certain, "{}", sample.text);
        // A digit in the place of the last one that cannot be right.
        let last = sample.text.chars().next_back().unwrap();
        let other = if last == '2' { '3' } else { '2' };
        let wrong: String = sample.text.chars().take(sample.text.len() - 1).chain([other]).collect();
        assert!(scanner.look_at(&wrong).iter().all(|found| found.sure < Sure::Context), "{wrong}");
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn what_looks_like_a_secret_is_none() {
    let scanner = Scanner::built_in();
    for text in [
        "AKIAIOSFODNN7EXAMPLE and wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "api_key = \"your_api_key_here\"",
        "api_key = \"${API_KEY}\"\ntoken: <token>\npassword: {{ .Values.password }}",
        "password = os.environ['DB_PASSWORD1']",
        "const token = process.env.TOKEN_2024;",
        "secret_key = \"0000000000000000000000000000\"",
        "api_key: abcdefghijklmnopqrstuvwxyz123456",
        "request id 550e8400-e29b-41d4-a716-446655440000 and token 550e8400-e29b-41d4-a716-446655440000",
        "session_token = \"550e8400-e29b-41d4-a716-446655440000\"",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "integrity=\"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==\"",
        "\"integrity\": \"sha512-OUxqMdfCSS4vmFyFFEm5zSQk3CV4n4bDnGK9i4rV4QW6wYgL5ztxOaW4Bm9SkqD2uGYwdqDkLZCSjYGjG9pOqA==\"",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nyour key here\n-----END PRIVATE KEY-----",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@host",
        "postgres://user:password@localhost/db and https://user:pass@example.org and redis://:${REDIS_PASSWORD}@h",
        "amqp://guest:guest@localhost:5672, mongodb://admin:admin@db",
        "Server=db;Database=x;User Id=sa;Password=<password>;",
        "Authorization: Bearer <token>, or Bearer YOUR_ACCESS_TOKEN_GOES_HERE, bearer tokens are strings",
        "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, basic concepts of authentication",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
        "next_page_token = \"CAUQAA2k9fj3k2l4m5n6b7v8c9x0\" and csrf_token=\"a8f5f167f44f4964e6c998dee827110c\"",
        "token_type = \"Bearer\", password_hash, secretary: 12, keyboard: qwertz123, passport = X1234567",
        "public_key = \"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE\"",
        "password must have at least 8 characters; the secret is out; the token is refreshed",
        "if password == \"Str0ngEnough99\" {",
        "risk-abcdefghijklmnopqrstuvwxyz0123456789 task-force desk-0001",
        "function a(b,c){var d=e.token=f(b)?g:h;return d.password=c,d.apiKey=function(){return 12}}",
        "checksum: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "password: correct",
    ] {
        let found = look(&scanner, text);
        assert_eq!(found, [], "{text}");
    }
}

#[test]
fn a_secret_that_only_its_name_tells_is_found() {
    let scanner = Scanner::built_in();
    for (text, secret) in [
        ("api_key = \"q8Zt3VfW1nXcR7mKp2Ls9BdY\"", "q8Zt3VfW1nXcR7mKp2Ls9BdY"),
        ("{\"apiKey\":\"3f9a1c77be02d46188e5a0c94b7d2f10\"}", "3f9a1c77be02d46188e5a0c94b7d2f10"),
        ("X-Api-Key: q8Zt3VfW1nXcR7mKp2Ls9BdY\n", "q8Zt3VfW1nXcR7mKp2Ls9BdY"),
        ("password: kR7#mQ2x!vL9\n", "kR7#mQ2x!vL9"),
        ("DB_PASS=kR7mQ2xvL9tW\n", "kR7mQ2xvL9tW"),
        ("mysql --password=kR7mQ2xvL9tW -u root", "kR7mQ2xvL9tW"),
        ("run --token q8Zt3VfW1nXcR7mKp2Ls9BdY now", "q8Zt3VfW1nXcR7mKp2Ls9BdY"),
        ("<password>kR7mQ2xvL9tW</password>", "kR7mQ2xvL9tW"),
        ("The password is kR7mQ2xvL9tW, do not lose it.", "kR7mQ2xvL9tW"),
        ("client_secret='q8Zt3VfW1nXcR7mKp2Ls9BdY'", "q8Zt3VfW1nXcR7mKp2Ls9BdY"),
    ] {
        let [found] = look(&scanner, text).try_into().unwrap_or_else(|found| panic!("{text}: {found:?}"));
        assert_eq!(text.get(found.span.clone()), Some(secret), "{text}");
        assert_eq!((found.sure, found.format.group), (Sure::Context, Group::Credential), "{text}");
    }
}

#[test]
fn what_is_known_is_not_told() {
    let scanner = Scanner::built_in();
    let sample = samples(&scanner, 3).into_iter().find(|sample| sample.id == "github").unwrap();
    for text in [sample.text.clone(), STANDARD.encode(&sample.text)] {
        assert_eq!(scanner.look(&text, &Views::of(&text), |_| false).len(), 1);
        assert_eq!(scanner.look(&text, &Views::of(&text), |secret| secret == sample.text), []);
    }
}

#[test]
fn formats_of_an_operator_are_found() {
    let toml = "[[format]]\nid = \"custom.acme\"\nname = \"key of Acme\"\nshapes = [\"acme_{alnum:24}\", \"{digit:6}-ACME-{hex:16}\"]\n";
    let scanner = Scanner::with_extra(toml).unwrap();
    for text in ["key acme_q8Zt3VfW1nXcR7mKp2Ls9BdY here", "482913-ACME-9f3a1c77be02d461"] {
        let [found] = look(&scanner, text).try_into().unwrap();
        assert_eq!((&*found.format.id, found.format.is_own), ("custom.acme", true));
        assert_eq!(look(&Scanner::built_in(), text), []);
    }
}

#[test]
fn a_secret_is_found_over_the_edges_of_texts() {
    let scanner = Scanner::built_in();
    let sample = samples(&scanner, 5).into_iter().find(|sample| sample.id == "github").unwrap();
    let pieces = ["before", &sample.text[..3], &sample.text[3..20], &sample.text[20..], "after"];
    let mut edges = Vec::new();
    let mut text = String::new();
    for piece in pieces {
        edges.push(text.len());
        text.push_str(piece);
    }
    let [found] = scanner.look_joined(&text, &edges).try_into().unwrap();
    assert_eq!((text.get(found.span), found.sure), (Some(&*sample.text), Sure::Certain));
    assert_eq!(scanner.look_at(&text), []);
}

/// Texts that are made to be read again and again.
#[test]
fn hostile_texts_are_read_in_linear_time() {
    let scanner = Scanner::built_in();
    let pieces = [
        "ghp_",
        "sk-",
        "eyJ",
        "eyJ.",
        "=",
        "://",
        "a://b:",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "PuTTY-User-Key-File-",
        "password=",
        "token:\"",
        "AKIA",
        "AAAA",
        "aGVsbG8",
        "github_pat_",
        "xoxb-1234567890-",
        "bearer ",
        "Basic a:",
        ":AA",
        "sk-abcdefghijklmnopqrstuvwxyz ",
        "key-",
        "secret is ",
        "\"d\":\"",
        "pass;pwd=",
    ];
    for piece in pieces {
        let text = piece.repeat((1 << 20) / piece.len());
        let start = std::time::Instant::now();
        assert!(scanner.look_at(&text).len() <= text.len());
        let took = start.elapsed();
        println!("{piece:?}: {:.2} µs/KiB", took.as_secs_f64() * 1e6 / 1024.0);
        // A reading that is not linear takes hours.
        assert!(took.as_secs() < 60, "{piece}: {took:?}");
    }
}
