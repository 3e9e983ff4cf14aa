//! What it costs to make a name, to look for names in a text, and to encrypt a number.
//!
//! `cargo run --release -p bartizan-pseudonym --example cost`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the one who runs it")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bartizan_pseudonym::{Kind, Root};

fn least(mut what: impl FnMut()) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..200 {
        let begun = Instant::now();
        (0..20).for_each(|_| what());
        least = least.min(begun.elapsed() / 20);
    }
    least
}

fn main() {
    let root = Root::new(&[7; 32]);
    let (namer, preserving) = (root.namer("acme", "support"), root.preserving("acme", "support").unwrap());
    let token = namer.name(Kind::Email, "ann@example.com").to_string();
    let with = format!("The order of {token} is on its way, and one of last_week too. ").repeat(160);
    let without = "The order of somebody is on its way, and one of last_week is too, or else not. ".repeat(160);
    let name = least(|| _ = black_box(namer.name(Kind::Email, black_box("ann@example.com"))));
    let both = [&with, &without].map(|text| (text.len(), least(|| _ = black_box(namer.find(black_box(text))))));
    let search = least(|| _ = black_box(black_box(&without).matches('_').count()));
    let card = least(|| _ = black_box(preserving.encrypt_luhn(Kind::PaymentCard, "4111 1111 1111 1111")));
    println!("a name: {name:.2?}; a card's number encrypted: {card:.2?} (the least of 200 times)");
    println!("160 names in {} bytes: {:.2?}; none in {} bytes: {:.2?}", both[0].0, both[0].1, both[1].0, both[1].1);
    println!("counting underscores in the latter: {search:.2?}");
}
