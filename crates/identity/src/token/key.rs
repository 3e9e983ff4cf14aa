//! Public keys (RFC 7517) and the signatures that they verify (RFC 7518).
//!
//! **Threat.** A token says itself how it is signed. So what a key may verify is decided by the key: an RSA key never verifies
//! an HMAC, however the token calls it, and nothing is good without a signature.

use aws_lc_rs::signature as sig;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::json;

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA with PKCS #1 padding and SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA with PSS padding and SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// ECDSA on P-521.
    Es512,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// What tokens call them. No other is accepted.
    const NAMES: [(&str, Algorithm); 11] = [
        ("RS256", Algorithm::Rs256),
        ("RS384", Algorithm::Rs384),
        ("RS512", Algorithm::Rs512),
        ("PS256", Algorithm::Ps256),
        ("PS384", Algorithm::Ps384),
        ("PS512", Algorithm::Ps512),
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
        ("ES512", Algorithm::Es512),
        ("EdDSA", Algorithm::EdDsa),
        ("Ed25519", Algorithm::EdDsa),
    ];

    /// The one of that name; none if it is not accepted.
    #[must_use]
    pub fn of(name: &str) -> Option<Algorithm> {
        Algorithm::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }

    /// The names of all that are accepted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Algorithm::NAMES.into_iter().map(|(name, _)| name)
    }
}

/// A key as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// On the curve of this algorithm, as an uncompressed point.
    Ec(Algorithm, Vec<u8>),
    Ed(Vec<u8>),
}

/// A public key that verifies signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    /// The one algorithm that it says it is for.
    only: Option<Algorithm>,
    public: Public,
    thumbprint: String,
}

/// What only somebody has who can sign.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The longest number in a key: that of RSA with 8,192 bits.
const LONGEST: usize = 1024;

impl Key {
    /// Reads a JSON Web Key; none if it is no public key for signatures of a kind that is accepted.
    #[must_use]
    pub fn of(jwk: &Map<String, Value>) -> Option<Key> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
            return None;
        }
        let is_for_signatures = jwk.get("use").is_none_or(|of| of == "sig")
            && jwk
                .get("key_ops")
                .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
        if !is_for_signatures {
            return None;
        }
        let number = |name: &str| decode(text(name)?).filter(|bytes| (1..=LONGEST).contains(&bytes.len()));
        let public = match text("kty")? {
            "RSA" => Public::Rsa { n: number("n")?, e: number("e")? },
            "EC" => {
                let (curve, length) = match text("crv")? {
                    "P-256" => (Algorithm::Es256, 32),
                    "P-384" => (Algorithm::Es384, 48),
                    "P-521" => (Algorithm::Es512, 66),
                    _ => return None,
                };
                let (x, y) = (number("x")?, number("y")?);
                let fits = x.len() == length && y.len() == length;
                Public::Ec(curve, fits.then(|| [&[4], &*x, &*y].concat())?)
            }
            "OKP" if text("crv") == Some("Ed25519") => Public::Ed(number("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let only = match jwk.get("alg") {
            // Of a name that is not known nothing is verified.
            Some(name) => Some(Algorithm::of(name.as_str()?)?),
            None => None,
        };
        let key = Key { id: text("kid").map(str::to_owned), only, thumbprint: thumbprint(jwk)?, public };
        only.is_none_or(|only| key.verifies(only)).then_some(key)
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its digest, which nothing but the key itself decides (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether it is for signatures of this kind.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let of_kind = match &self.public {
            Public::Rsa { .. } => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Public::Ec(own, _) => *own == algorithm,
            Public::Ed(_) => algorithm == EdDsa,
        };
        of_kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether this is its signature of that text.
    #[must_use]
    pub fn has_signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if !self.verifies(algorithm) {
            return false;
        }
        match &self.public {
            Public::Rsa { n, e } => {
                // With fewer than 2,048 bits it is refused.
                let parameters = match algorithm {
                    Algorithm::Rs256 => &sig::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &sig::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &sig::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &sig::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &sig::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &sig::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                sig::RsaPublicKeyComponents { n, e }.verify(parameters, text, signature).is_ok()
            }
            Public::Ec(_, point) => {
                let parameters = match algorithm {
                    Algorithm::Es256 => &sig::ECDSA_P256_SHA256_FIXED,
                    Algorithm::Es384 => &sig::ECDSA_P384_SHA384_FIXED,
                    Algorithm::Es512 => &sig::ECDSA_P521_SHA512_FIXED,
                    _ => return false,
                };
                sig::UnparsedPublicKey::new(parameters, point).verify(text, signature).is_ok()
            }
            Public::Ed(x) => sig::UnparsedPublicKey::new(&sig::ED25519, x).verify(text, signature).is_ok(),
        }
    }
}

/// RFC 7638: the digest of those members that make the key, in order.
fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let members: &[&str] = match jwk.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    // All of them are letters and digits that JSON writes as they are.
    let members: Option<Vec<_>> =
        members.iter().map(|name| Some(format!("{name:?}:{:?}", jwk.get(*name)?.as_str()?))).collect();
    Some(encode(&Sha256::digest(format!("{{{}}}", members?.join(",")))))
}

/// Keys that somebody signs with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// More are no set of keys that anybody signs with.
const MOST: usize = 128;

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are not for signatures that are accepted are left out, and those without a name.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<KeySet> {
        let set = json::object(bytes)?;
        let keys = set.get("keys")?.as_array().filter(|keys| keys.len() <= MOST)?;
        let keys = keys.iter().filter_map(|key| Key::of(key.as_object()?));
        Some(KeySet(keys.filter(|key| key.id.is_some()).collect()))
    }

    /// These keys.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> KeySet {
        KeySet(keys)
    }

    /// The keys of that name that are for signatures of this kind.
    pub fn find<'a>(&'a self, id: &'a str, algorithm: Algorithm) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| key.id.as_deref() == Some(id) && key.verifies(algorithm))
    }

    /// Whether there is one of that name, whatever it is for.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes behind base64url, which is written in one way only.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
