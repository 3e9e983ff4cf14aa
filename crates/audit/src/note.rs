//! Text that a key has signed (C2SP signed-note), and the heads of a log's tree that are written so (C2SP tlog-checkpoint).
//!
//! Only Ed25519 signatures are made and looked at. Those of others, such as witnesses, may stand beside them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::tree::Hash;

/// The kind of a key and of its signatures: Ed25519 over the text.
const ED25519_NOTE: u8 = 1;

/// The longest note that is read: a checkpoint with sixteen signatures, each of which may be a post-quantum one.
pub(crate) const MAX_BYTES: usize = 128 << 10;

/// What stands before a signature.
const DASH: &str = "\u{2014} ";

/// Whether a key may have that name.
fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn key_id(name: &str, key: &[u8]) -> [u8; 4] {
    let hash: Hash =
        Sha256::new().chain_update(name).chain_update([b'\n', ED25519_NOTE]).chain_update(key).finalize().into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// The public key of a log, as text `NAME+ID+KEY`: what has to be known of a log elsewhere for its checkpoints to count.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    key: [u8; 32],
}

impl LogKey {
    /// The log that signs with it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        key_id(&self.name, &self.key)
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_NOTE], &self.key[..]].concat());
        write!(f, "{}+{}+{key}", self.name, crate::to_hex(&self.id()))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({self})")
    }
}

impl FromStr for LogKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "expected the key of a log, NAME+ID+KEY, as `bartizan audit verify` prints it";
        let (name, rest) = text.split_once('+').filter(|(name, _)| is_name(name)).ok_or(SHAPE)?;
        let (id, key) = rest.split_once('+').ok_or(SHAPE)?;
        let key = STANDARD.decode(key).map_err(|_| SHAPE)?;
        let key = key.strip_prefix(&[ED25519_NOTE]).ok_or("the key of the log is of another kind than Ed25519")?;
        let key = LogKey { name: name.to_owned(), key: key.try_into().map_err(|_| SHAPE)? };
        if crate::to_hex(&key.id()) == id { Ok(key) } else { Err("the key of the log has an id that is not its own") }
    }
}

/// The secret half of a log's key.
pub(crate) struct Signer {
    public: LogKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// The key of these 32 random bytes, for a log of that name.
    pub(crate) fn new(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok().filter(|_| is_name(name))?;
        let key = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { public: LogKey { name: name.to_owned(), key }, pair })
    }

    /// Reads what [`Signer::with_text`] wrote.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let rest = text.strip_suffix('\n').unwrap_or(text).strip_prefix("PRIVATE+KEY+")?;
        let (name, rest) = rest.split_once('+')?;
        let (id, seed) = rest.split_once('+')?;
        let seed = Zeroizing::new(STANDARD.decode(seed).ok()?);
        let signer = Self::new(name, seed.strip_prefix(&[ED25519_NOTE])?.try_into().ok()?)?;
        (crate::to_hex(&signer.public.id()) == id).then_some(signer)
    }

    /// The same with the key as text, in the form in which other programs for signed notes write it.
    pub(crate) fn with_text(name: &str, seed: &[u8; 32]) -> Option<(Self, Zeroizing<String>)> {
        let signer = Self::new(name, seed)?;
        let seed = Zeroizing::new(STANDARD.encode(Zeroizing::new([&[ED25519_NOTE], &seed[..]].concat())));
        let text = format!("PRIVATE+KEY+{name}+{}+{}\n", crate::to_hex(&signer.public.id()), *seed);
        Some((signer, Zeroizing::new(text)))
    }

    pub(crate) fn public(&self) -> &LogKey {
        &self.public
    }

    /// The text with its signature below.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let signature = STANDARD.encode([&self.public.id(), signature.as_ref()].concat());
        format!("{text}\n{DASH}{} {signature}\n", self.public.name)
    }
}

/// The text of a note that this key has signed.
///
/// # Errors
/// A word on why it has not.
pub fn open<'a>(note: &'a str, key: &LogKey) -> Result<&'a str, &'static str> {
    const SHAPE: &str = "it is no signed note";
    if note.len() > MAX_BYTES || note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(SHAPE);
    }
    let (text, signatures) = note.rsplit_once("\n\n").ok_or(SHAPE)?;
    let text = note.get(..=text.len()).ok_or(SHAPE)?;
    let mut is_signed = false;
    for line in signatures.strip_suffix('\n').ok_or(SHAPE)?.split('\n') {
        let (name, signature) = line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).ok_or(SHAPE)?;
        let signature = STANDARD.decode(signature).map_err(|_| SHAPE)?;
        let (id, signature) = signature.split_at_checked(4).ok_or(SHAPE)?;
        if name == key.name && id == key.id() {
            let public = UnparsedPublicKey::new(&ED25519, &key.key);
            public.verify(text.as_bytes(), signature).map_err(|_| "its signature is not the key's")?;
            is_signed = true;
        }
    }
    if is_signed { Ok(text) } else { Err("the key has not signed it") }
}

/// The head of a log's tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is of.
    pub origin: String,
    /// How many entries are under it.
    pub size: u64,
    /// The root over all of them.
    pub root: [u8; 32],
}

impl Checkpoint {
    /// Reads a checkpoint that this key has signed.
    ///
    /// # Errors
    /// A word on why it is none.
    pub fn open(note: &str, key: &LogKey) -> Result<Self, &'static str> {
        let checkpoint: Checkpoint = open(note, key)?.parse()?;
        // A key that signs for several logs would let one stand for the other.
        if checkpoint.origin == key.name { Ok(checkpoint) } else { Err("it is of another log than its key") }
    }

    /// What a note says that is a checkpoint, whoever has signed it; nothing of any other text.
    #[must_use]
    pub fn claimed(note: &str) -> Option<Self> {
        let (text, _) = note.rsplit_once("\n\n").filter(|_| note.len() <= MAX_BYTES)?;
        note.get(..=text.len())?.parse().ok()
    }
}

impl FromStr for Checkpoint {
    type Err = &'static str;

    /// Reads the text without its signatures.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "it is no checkpoint";
        let mut lines = text.strip_suffix('\n').ok_or(SHAPE)?.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(SHAPE)?;
        let written = lines.next().ok_or(SHAPE)?;
        let size: u64 = written.parse().ok().filter(|size: &u64| size.to_string() == written).ok_or(SHAPE)?;
        let root = lines.next().and_then(hash).ok_or(SHAPE)?;
        if lines.any(str::is_empty) {
            return Err(SHAPE);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, to_text(&self.root))
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({} {} {})", self.origin, self.size, to_text(&self.root))
    }
}

/// A hash as notes write it.
pub(crate) fn to_text(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

/// Reads a hash in the one way in which it is written.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new("example.com/log", &[7; 32]).unwrap()
    }

    #[test]
    fn a_published_example_is_signed() {
        // The key and the note of the documentation of Go's golang.org/x/mod/sumdb/note.
        let key: LogKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let note = format!("{text}\n\u{2014} PeterNeumann {signature}\n");
        assert_eq!(open(&note, &key), Ok(text));
        assert!(open(&note.replacen("think", "thing", 1), &key).is_err());
    }

    #[test]
    fn what_is_signed_is_opened_by_its_key_alone() {
        let checkpoint = Checkpoint { origin: "example.com/log".to_owned(), size: 42, root: [9; 32] };
        let note = signer().sign(&checkpoint.to_string());
        let key = signer().public().clone();
        assert_eq!(Checkpoint::open(&note, &key), Ok(checkpoint.clone()));
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        // Signatures of others are nothing to us, before or after.
        let other = Signer::new("witness.example", &[8; 32]).unwrap();
        let (text, ours) = note.rsplit_once("\n\n").unwrap();
        let theirs = other.sign(&checkpoint.to_string());
        let theirs = theirs.rsplit_once("\n\n").unwrap().1;
        for both in [format!("{text}\n\n{theirs}{ours}"), format!("{text}\n\n{ours}{theirs}")] {
            assert_eq!(Checkpoint::open(&both, &key).as_ref(), Ok(&checkpoint));
        }
        assert!(Checkpoint::open(&note, other.public()).is_err());
        assert!(Checkpoint::open(&note, Signer::new("example.com/log", &[8; 32]).unwrap().public()).is_err());
        assert!(Checkpoint::open(&note, Signer::new("example.com/other", &[7; 32]).unwrap().public()).is_err());
        let foreign = signer().sign(&checkpoint.to_string().replacen("/log", "/other", 1));
        assert_eq!(Checkpoint::open(&foreign, &key), Err("it is of another log than its key"));
    }

    #[test]
    fn no_changed_byte_is_overlooked() {
        let checkpoint = Checkpoint { origin: "example.com/log".to_owned(), size: 42, root: [9; 32] };
        let note = signer().sign(&checkpoint.to_string());
        for at in 0..note.len() {
            for mask in [1, 2, 4, 8, 16, 32, 64] {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= mask;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(Checkpoint::open(&changed, signer().public()).is_err(), "{changed:?}");
                }
            }
            assert!(note.get(..at).is_none_or(|cut| Checkpoint::open(cut, signer().public()).is_err()), "{at}");
        }
    }

    #[test]
    fn a_key_reads_back_and_has_one_spelling() {
        let (_, text) = Signer::with_text("example.com/log", &[7; 32]).unwrap();
        let read = Signer::from_text(&text).unwrap();
        assert_eq!(read.public(), signer().public());
        assert_eq!(read.sign("x\n"), signer().sign("x\n"));
        for wrong in ["", "x", &text.replacen("+example", "+exemple", 1), &text.replacen("PRIVATE", "PUBLIC", 1)] {
            assert!(Signer::from_text(wrong).is_none(), "{wrong}");
        }
        let public = signer().public().to_string();
        for wrong in
            ["", "x+y+z", &public.replacen("example", "exemple", 1), &public.to_uppercase(), &format!("{public}=")]
        {
            assert!(wrong.parse::<LogKey>().is_err(), "{wrong}");
        }
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb", &"x".repeat(129)] {
            assert!(Signer::new(name, &[7; 32]).is_none(), "{name}");
        }
    }

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let text = "o\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
        assert_eq!(text.parse::<Checkpoint>().unwrap().to_string(), text);
        assert!(format!("{text}more\n").parse::<Checkpoint>().is_ok(), "others may add lines");
        for wrong in [
            "",
            "\n",
            "o\n",
            "o\n1\n",
            &text.replacen('0', "00", 1),
            &text.replacen('0', "+0", 1),
            &text.replacen('0', "-1", 1),
            &text.replacen("o", "", 1),
            &text.replacen("A=", "A", 1),
            &text.replacen("AA=", "AB=", 1),
            &format!("{text}\n"),
            text.trim_end(),
        ] {
            assert!(wrong.parse::<Checkpoint>().is_err(), "{wrong:?}");
        }
    }
}
