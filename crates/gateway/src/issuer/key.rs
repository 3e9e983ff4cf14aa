//! The keys that access tokens are signed with: the one before, the one in use, and the next.
//!
//! A key is shown to whoever verifies tokens for as long as the one before it is in use, so that nobody meets a key that they
//! have not seen; and for an hour after it is used no more, since tokens that it signed may still be good.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use bartizan_guard::Timestamp;
use bartizan_store::Sealer;
use bartizan_store::grants::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::IssuerError;

/// How long a key is in use, and how long it is shown afterwards, in microseconds.
const IN_USE: i64 = 30 * 24 * HOUR;
const AFTERWARDS: i64 = HOUR;
const HOUR: i64 = 60 * 60 * 1_000_000;
/// What it is sealed for.
const PURPOSE: &str = "signing";

/// A key on P-256.
pub(crate) struct Key {
    /// Its thumbprint (RFC 7638).
    id: String,
    pair: EcdsaKeyPair,
    public: Value,
    signs_from: i64,
}

impl Key {
    /// A new one, which signs nothing yet.
    pub(super) fn generate() -> Result<Key, IssuerError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(broken)?;
        Key::of(pair, i64::MAX)
    }

    /// One that was kept.
    pub(super) fn open(sealer: &Sealer, kept: &SigningKey) -> Result<Key, IssuerError> {
        let plain =
            sealer.unseal(PURPOSE, &kept.id, &kept.sealed).map_err(|error| IssuerError::Key(error.to_string()))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &plain).map_err(broken)?;
        let key = Key::of(pair, kept.signs_from)?;
        if key.id == kept.id { Ok(key) } else { Err(broken("it is another one than its name says")) }
    }

    fn of(pair: EcdsaKeyPair, signs_from: i64) -> Result<Key, IssuerError> {
        // An uncompressed point: a byte that says so, and two coordinates.
        let point = pair.public_key().as_ref();
        let [x, y] = [point.get(1..33), point.get(33..65)].map(|half| half.map(|half| URL_SAFE_NO_PAD.encode(half)));
        let (Some(x), Some(y)) = (x, y) else { return Err(broken("its public half has another form")) };
        // The members in this order and without blanks are what the thumbprint is of.
        let named = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(named.as_bytes()));
        let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "use": "sig", "alg": "ES256"});
        Ok(Key { id, pair, public, signs_from })
    }

    /// To be kept, sealed; when it begins to sign is still to be said.
    pub(super) fn kept(&self, sealer: &Sealer, now: Timestamp) -> Result<SigningKey, IssuerError> {
        let plain = self.pair.to_pkcs8v1().map_err(broken)?;
        let sealed =
            sealer.seal(PURPOSE, &self.id, plain.as_ref()).map_err(|error| IssuerError::Key(error.to_string()))?;
        Ok(SigningKey { id: self.id.clone(), sealed, signs_from: self.signs_from, created_at: now.0 })
    }

    /// What it is called (`kid`).
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its public half (RFC 7517).
    pub(crate) fn public(&self) -> &Value {
        &self.public
    }

    /// The signature of a text, as a JWS has it.
    pub(super) fn sign(&self, text: &[u8]) -> Result<String, IssuerError> {
        let signature = self.pair.sign(&SystemRandom::new(), text).map_err(broken)?;
        Ok(URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

impl Key {
    /// Whether it has signed that.
    pub(super) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        public.verify(text, signature).is_ok()
    }
}

/// The key that signs now: the one that began last.
pub(super) fn in_use(keys: &[Arc<Key>], now: Timestamp) -> Option<&Key> {
    keys.iter().filter(|key| key.signs_from <= now.0).max_by_key(|key| key.signs_from).map(|key| &**key)
}

/// Whether there is one that signs, and one that comes after it, and none that is there for nothing.
pub(super) fn are_enough(keys: &[Arc<Key>], now: Timestamp) -> bool {
    let begins: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.signs_from)).collect();
    going(&begins, now).next().is_none()
        && begins.iter().any(|(_, at)| *at <= now.0)
        && begins.iter().any(|(_, at)| *at > now.0)
}

/// Which keys go, and which of the new ones come.
pub(super) fn plan(there: &[SigningKey], new: Vec<SigningKey>, now: Timestamp) -> (Vec<String>, Vec<SigningKey>) {
    let begins: Vec<_> = there.iter().map(|key| (key.id.as_str(), key.signs_from)).collect();
    let going: Vec<_> = going(&begins, now).map(str::to_owned).collect();
    let last = begins.iter().map(|(_, at)| *at).filter(|at| *at <= now.0).max();
    let has_next = begins.iter().any(|(_, at)| *at > now.0);
    // The next one begins when the one in use has been that for as long as it may, or after as long from now if nobody came
    // by meanwhile.
    let next = now.0.saturating_add(IN_USE);
    let wanted = [last.is_none().then_some(now.0), (!has_next).then_some(next)].into_iter().flatten();
    let coming = new.into_iter().zip(wanted).map(|(key, signs_from)| SigningKey { signs_from, ..key }).collect();
    (going, coming)
}

/// Keys in the place of which another has been for long enough.
fn going<'a>(begins: &[(&'a str, i64)], now: Timestamp) -> impl Iterator<Item = &'a str> {
    let over = now.0.saturating_sub(AFTERWARDS);
    let last = begins.iter().map(|(_, at)| *at).filter(|at| *at <= over).max();
    begins.iter().filter(move |(_, at)| last.is_some_and(|last| *at < last)).map(|(id, _)| *id)
}

/// What a library says of a key that it cannot use is for the log.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn broken(why: impl ToString) -> IssuerError {
    IssuerError::Key(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str, signs_from: i64) -> SigningKey {
        SigningKey { id: id.to_owned(), sealed: vec![], signs_from, created_at: 0 }
    }

    #[test]
    fn there_is_one_before_one_in_use_and_one_to_come() {
        const T: i64 = 1_000 * IN_USE;
        for (what, there, goes, comes) in [
            ("nothing yet", vec![], vec![], vec![T, T + IN_USE]),
            ("one in use", vec![("a", T - 5)], vec![], vec![T + IN_USE]),
            ("all as it should be", vec![("a", T - 5), ("b", T + 5)], vec![], vec![]),
            ("the next has begun just now", vec![("a", T - IN_USE), ("b", T)], vec![], vec![T + IN_USE]),
            (
                "tokens of the one before may still be good",
                vec![("a", T - IN_USE), ("b", T - HOUR + 1), ("c", T + 5)],
                vec![],
                vec![],
            ),
            ("the one before is over", vec![("a", T - IN_USE), ("b", T - HOUR), ("c", T + 5)], vec!["a"], vec![]),
            (
                "nobody came by for long",
                vec![("a", T - 9 * IN_USE), ("b", T - 8 * IN_USE)],
                vec!["a"],
                vec![T + IN_USE],
            ),
            ("all are to come", vec![("a", T + 5)], vec![], vec![T]),
        ] {
            let there: Vec<_> = there.into_iter().map(|(id, at)| kept(id, at)).collect();
            let (going, coming) = plan(&there, vec![kept("x", 0), kept("y", 0)], Timestamp(T));
            assert_eq!(going, goes, "{what}");
            assert_eq!(coming.iter().map(|key| key.signs_from).collect::<Vec<_>>(), comes, "{what}");
        }
    }
}
