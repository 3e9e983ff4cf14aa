//! Passkeys of people who sign in: what the gateway, as a relying party of WebAuthn, checks of what a browser hands over
//! (Web Authentication Level 3, sections 7.1 and 7.2).
//!
//! **Threat.** Somebody shows a signature that was made for another page, for another sign-in, or by another's passkey, or one by
//! a device that did not ask who holds it. So the browser's own words are compared, each of them: what it was asked for, the
//! challenge, the page. And the authenticator's: for which host, and that it has verified its user.
//!
//! No attestation is asked for: it would say of which make an authenticator is, and nothing here depends on that. So nothing of
//! a new passkey is signed, and its public key is what the browser says it is; whoever lies harms their own account. The key is
//! read in the form that browsers give it in (`getPublicKey`), so no CBOR is read at all.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// ECDSA on P-256 with SHA-256, as COSE numbers it.
pub const ES256: i64 = -7;
/// Ed25519.
pub const EDDSA: i64 = -8;
/// RSA with SHA-256, for authenticators that have nothing else.
pub const RS256: i64 = -257;
/// All that a passkey may sign with, the ones that are preferred first.
pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];

/// Where the authenticator's data has what (section 6.1).
const HASH: usize = 32;
const FLAGS: usize = 32;
const COUNTER: usize = 33;
const LEAST: usize = 37;
/// The model of the authenticator, and the length of the id that comes then.
const MODEL: usize = 16;

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;

/// What a new passkey is called, at most (section 4, "Credential ID").
const LONGEST_ID: usize = 1023;
const LARGEST: usize = 16 * 1024;

/// What the gateway expects.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The challenge that was given, as browsers spell it: base64url.
    pub challenge: &'a str,
    /// The origin of its pages, such as `https://mcp.example.com`.
    pub origin: &'a str,
    /// Its host, which passkeys are for.
    pub host: &'a str,
}

/// A passkey that was made just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What its authenticator calls it.
    pub id: Vec<u8>,
    /// How often it signed.
    pub counter: u32,
}

/// Why it does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It is not in the form that browsers use.
    #[error("not in the form that browsers use")]
    Form,
    /// It was made for something else than was asked for.
    #[error("made for something else")]
    Kind,
    /// It answers another challenge.
    #[error("for another challenge")]
    Challenge,
    /// It was made on another page.
    #[error("made on another page")]
    Origin,
    /// It is for another host.
    #[error("for another host")]
    Host,
    /// The authenticator did not verify who holds it.
    #[error("the authenticator did not verify its user")]
    Unverified,
    /// Its key is none that is taken.
    #[error("of a kind that is not taken")]
    Key,
    /// The signature is not by that passkey.
    #[error("not signed by that passkey")]
    Signature,
}

/// What a browser says of what it did (section 5.8.1).
#[derive(Deserialize)]
struct Client {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

/// Checks a passkey that a browser has just made: `client` is its `clientDataJSON`, `authenticator` its authenticator data,
/// `key` a `SubjectPublicKeyInfo` in DER.
///
/// # Errors
/// Why it does not do.
pub fn check_new(
    expected: Expected<'_>,
    client: &[u8],
    authenticator: &[u8],
    (algorithm, key): (i64, &[u8]),
) -> Result<Made, Unfit> {
    check_client(expected, "webauthn.create", client)?;
    let (flags, counter) = check_authenticator(expected, authenticator)?;
    if flags & ATTESTED == 0 {
        return Err(Unfit::Form);
    }
    let attested = authenticator.get(LEAST + MODEL..).ok_or(Unfit::Form)?;
    let (length, rest) = attested.split_first_chunk::<2>().ok_or(Unfit::Form)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let id = rest.get(..length).filter(|id| (1..=LONGEST_ID).contains(&id.len())).ok_or(Unfit::Form)?;
    parsed(algorithm, key)?;
    Ok(Made { id: id.to_vec(), counter })
}

/// Checks that a passkey has signed just now. Returns how often it says that it has: whoever keeps that has to see that it
/// grows.
///
/// # Errors
/// Why it does not do.
pub fn check(
    expected: Expected<'_>,
    client: &[u8],
    authenticator: &[u8],
    signature: &[u8],
    (algorithm, key): (i64, &[u8]),
) -> Result<u32, Unfit> {
    check_client(expected, "webauthn.get", client)?;
    let (_, counter) = check_authenticator(expected, authenticator)?;
    let mut signed = authenticator.to_vec();
    signed.extend(Sha256::digest(client));
    parsed(algorithm, key)?.verify_sig(&signed, signature).map_err(|_| Unfit::Signature)?;
    Ok(counter)
}

fn check_client(expected: Expected<'_>, kind: &str, client: &[u8]) -> Result<(), Unfit> {
    if client.len() > LARGEST {
        return Err(Unfit::Form);
    }
    // serde_json refuses a member that stands there twice, so there is one meaning to it.
    let said: Client = serde_json::from_slice(client).map_err(|_| Unfit::Form)?;
    if said.kind != kind {
        return Err(Unfit::Kind);
    }
    let is_ours: bool = said.challenge.as_bytes().ct_eq(expected.challenge.as_bytes()).into();
    if !is_ours {
        return Err(Unfit::Challenge);
    }
    // A page within another's is none of ours: they are shown in no frame.
    if said.origin != expected.origin || said.cross_origin {
        return Err(Unfit::Origin);
    }
    Ok(())
}

/// The flags and the counter of what an authenticator says, if it is for this host and has verified its user.
fn check_authenticator(expected: Expected<'_>, data: &[u8]) -> Result<(u8, u32), Unfit> {
    if !(LEAST..=LARGEST).contains(&data.len()) {
        return Err(Unfit::Form);
    }
    if data.get(..HASH) != Some(&*Sha256::digest(expected.host.as_bytes())) {
        return Err(Unfit::Host);
    }
    let flags = data.get(FLAGS).copied().ok_or(Unfit::Form)?;
    if flags & PRESENT == 0 || flags & VERIFIED == 0 {
        return Err(Unfit::Unverified);
    }
    if flags & BACKED_UP != 0 && flags & BACKUP_ELIGIBLE == 0 {
        return Err(Unfit::Form);
    }
    let counter = data.get(COUNTER..LEAST).and_then(|four| <[u8; 4]>::try_from(four).ok()).ok_or(Unfit::Form)?;
    Ok((flags, u32::from_be_bytes(counter)))
}

fn parsed(algorithm: i64, key: &[u8]) -> Result<ParsedPublicKey, Unfit> {
    let verification: &'static dyn VerificationAlgorithm = match algorithm {
        ES256 => &ECDSA_P256_SHA256_ASN1,
        EDDSA => &ED25519,
        RS256 => &RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(Unfit::Key),
    };
    // What these take in other forms is none that a browser gives: a SubjectPublicKeyInfo is a sequence, and an even one.
    if key.first() != Some(&0x30) || key.len() > LARGEST {
        return Err(Unfit::Key);
    }
    ParsedPublicKey::new(verification, key).map_err(|_| Unfit::Key)
}

#[cfg(test)]
#[path = "passkey/tests.rs"]
mod tests;
