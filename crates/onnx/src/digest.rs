//! What tells the files of one model from those of all others.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The digest of all files of a model: `sha256:` and 64 digits.
///
/// It is that of what `sha256sum model.onnx tokenizer.json config.json` prints, without `config.json` where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest in a text; nothing if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Digest> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
        let mut digest = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Digest(digest))
    }

    /// That of files with these names and contents, in this order.
    #[must_use]
    pub fn of(files: &[(&str, &[u8])]) -> Digest {
        let mut list = Sha256::new();
        for (name, content) in files {
            list.update(format!("{}  {name}\n", Hex(&Sha256::digest(content))));
        }
        Digest(list.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", Hex(&self.0))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_list_of_sha256sum() {
        // printf a > model.onnx; printf b > tokenizer.json; sha256sum model.onnx tokenizer.json | sha256sum
        let digest = Digest::of(&[("model.onnx", b"a"), ("tokenizer.json", b"b")]);
        assert_eq!(digest.to_string(), "sha256:0e3fb0f3365b9f543c0050deddd5068e3e5517ee0580a2a8ad7ab5a5c195cbe6");
        assert_ne!(digest, Digest::of(&[("model.onnx", b"ab"), ("tokenizer.json", b"")]));
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
    }

    #[test]
    fn what_is_no_digest_is_none() {
        let digits = "0f".repeat(32);
        assert!(Digest::parse(&format!("sha256:{digits}")).is_some());
        for bad in [
            digits.clone(),
            format!("sha256:{digits}0"),
            format!("sha256:+f{}", digits.trim_start_matches("0f0f")),
            format!("sha256:ä{}", digits.trim_start_matches("0f0f")),
            "sha256:".to_owned(),
        ] {
            assert_eq!(Digest::parse(&bad), None, "{bad}");
        }
    }
}
