//! What it costs to know that nothing was written since, beside asking the database.
//!
//! `cargo run --release -p bartizan-store --example revision`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the one who runs it")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bartizan_store::Store;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("state.db")).await.unwrap();
    let (mut look, mut ask) = (Duration::MAX, Duration::MAX);
    for _ in 0..2_000 {
        let begun = Instant::now();
        (0..10).for_each(|_| _ = black_box(store.revision()));
        look = look.min(begun.elapsed() / 10);
        let begun = Instant::now();
        black_box(store.api_keys().await.unwrap());
        ask = ask.min(begun.elapsed());
    }
    println!("the number beside the store: {look:.2?}; the database, which is empty: {ask:.2?} (the least of 2,000)");
}
