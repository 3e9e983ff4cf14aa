//! What somebody shows of a log: a proof, a checkpoint or a key is refused, or is the one spelling of what it says.
#![no_main]

use std::sync::LazyLock;

use bartizan_audit::{Checkpoint, LogKey, Proof};
use libfuzzer_sys::fuzz_target;

/// Of which the seeds are signed.
static KEY: LazyLock<LogKey> = LazyLock::new(|| {
    let key = "bartizan/b39f8e9a5e0bd2ef+f1e41bf0+AbvuSDEm6hQRnqZNxaOkaNlXSpiPLeyEh1pT9XKSS/g8";
    key.parse().expect("a key")
});

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<LogKey>() {
        assert_eq!(key.to_string(), text, "one spelling");
    }
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert!(text.starts_with(&checkpoint.to_string()), "what others add stands behind it");
    }
    if let Ok(checkpoint) = Checkpoint::open(text, &KEY) {
        assert!(text.starts_with(&checkpoint.to_string()));
    }
    if let Ok((proof, checkpoint)) = Proof::open(text, &KEY) {
        assert!(proof.record.seq <= checkpoint.size, "it is among these");
        assert_eq!(proof.to_string(), text, "one spelling");
    }
});
