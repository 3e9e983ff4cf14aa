use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use proptest::prelude::*;

use super::*;

const ORIGIN: &str = "https://mcp.example.com:8443";
const HOST: &str = "mcp.example.com";
const CHALLENGE: &str = "Y2hhbGxlbmdlIG9mIHRoaXMgZ2F0ZXdheQ";
const EXPECTED: Expected<'static> = Expected { challenge: CHALLENGE, origin: ORIGIN, host: HOST };
const ID: &[u8] = b"credential";

/// An authenticator without a device.
enum Soft {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Soft {
    fn all() -> Vec<(i64, Soft)> {
        vec![
            (ES256, Soft::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())),
            (EDDSA, Soft::Ed25519(Ed25519KeyPair::generate().unwrap())),
            (RS256, Soft::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
        ]
    }

    fn public_key(&self) -> Vec<u8> {
        match self {
            Soft::P256(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Soft::Ed25519(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Soft::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    fn sign(&self, authenticator: &[u8], client: &[u8]) -> Vec<u8> {
        let mut signed = authenticator.to_vec();
        signed.extend(Sha256::digest(client));
        match self {
            Soft::P256(pair) => pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec(),
            Soft::Ed25519(pair) => pair.sign(&signed).as_ref().to_vec(),
            Soft::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn client(kind: &str, challenge: &str, origin: &str) -> Vec<u8> {
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false,"other":1}}"#).into()
}

fn authenticator(host: &str, flags: u8, counter: u32) -> Vec<u8> {
    let mut data = Sha256::digest(host.as_bytes()).to_vec();
    data.push(flags);
    data.extend(counter.to_be_bytes());
    data
}

fn attested(flags: u8, id: &[u8]) -> Vec<u8> {
    let mut data = authenticator(HOST, flags, 3);
    data.extend([0; MODEL]);
    data.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
    data.extend(id);
    data.extend(b"a key in CBOR that nobody reads");
    data
}

#[test]
fn a_new_passkey_is_one_for_here() {
    for (algorithm, soft) in Soft::all() {
        let (key, good) = (soft.public_key(), client("webauthn.create", CHALLENGE, ORIGIN));
        let made = check_new(EXPECTED, &good, &attested(0x45, ID), (algorithm, &key));
        assert_eq!(made, Ok(Made { id: ID.to_vec(), counter: 3 }), "{algorithm}");
        for (client, data, algorithm, key, why) in [
            (client("webauthn.get", CHALLENGE, ORIGIN), attested(0x45, ID), algorithm, &key, Unfit::Kind),
            (client("webauthn.create", "b3RoZXI", ORIGIN), attested(0x45, ID), algorithm, &key, Unfit::Challenge),
            (
                client("webauthn.create", CHALLENGE, "https://evil.example"),
                attested(0x45, ID),
                algorithm,
                &key,
                Unfit::Origin,
            ),
            (good.clone(), attested(0x41, ID), algorithm, &key, Unfit::Unverified),
            (good.clone(), attested(0x44, ID), algorithm, &key, Unfit::Unverified),
            (good.clone(), attested(0x05, ID), algorithm, &key, Unfit::Form),
            (good.clone(), attested(0x45, &[]), algorithm, &key, Unfit::Form),
            (good.clone(), attested(0x45, &[7; 1024]), algorithm, &key, Unfit::Form),
            (good.clone(), authenticator(HOST, 0x45, 0), algorithm, &key, Unfit::Form),
            (good.clone(), attested(0x45, ID), -999, &key, Unfit::Key),
            (good.clone(), attested(0x45, ID), algorithm, &vec![0x30, 0x03, 1, 1, 1], Unfit::Key),
            (good.clone(), attested(0x45, ID), algorithm, &Vec::new(), Unfit::Key),
        ] {
            assert_eq!(check_new(EXPECTED, &client, &data, (algorithm, key)), Err(why));
        }
    }
}

#[test]
fn a_signature_is_for_this_page_and_challenge_by_this_passkey() {
    for (algorithm, soft) in Soft::all() {
        let key = soft.public_key();
        let good = client("webauthn.get", CHALLENGE, ORIGIN);
        let data = authenticator(HOST, 0x05, 7);
        let signature = soft.sign(&data, &good);
        let checked = |client: &[u8], data: &[u8], signature: &[u8], key: &[u8]| {
            check(EXPECTED, client, data, signature, (algorithm, key))
        };
        assert_eq!(checked(&good, &data, &signature, &key), Ok(7), "{algorithm}");
        // What is signed rightly, and says something else than it should.
        for (client, data, why) in [
            (client("webauthn.create", CHALLENGE, ORIGIN), data.clone(), Unfit::Kind),
            (client("webauthn.get", "b3RoZXI", ORIGIN), data.clone(), Unfit::Challenge),
            (client("webauthn.get", CHALLENGE, "https://mcp.example.com"), data.clone(), Unfit::Origin),
            (
                client("webauthn.get", CHALLENGE, "https://mcp.example.com:8443.evil.example"),
                data.clone(),
                Unfit::Origin,
            ),
            (good.clone(), authenticator("evil.example", 0x05, 7), Unfit::Host),
            (good.clone(), authenticator(HOST, 0x01, 7), Unfit::Unverified),
            (good.clone(), authenticator(HOST, 0x04, 7), Unfit::Unverified),
            (good.clone(), authenticator(HOST, 0x15, 7), Unfit::Form),
            (good.clone(), data[..36].to_vec(), Unfit::Form),
        ] {
            let signature = soft.sign(&data, &client);
            assert_eq!(checked(&client, &data, &signature, &key), Err(why), "{algorithm}");
        }
        let framed = String::from_utf8(good.clone()).unwrap().replace("false", "true").into_bytes();
        assert_eq!(checked(&framed, &data, &soft.sign(&data, &framed), &key), Err(Unfit::Origin), "in another's page");
        // What says the right thing, and is not signed rightly.
        let mut broken = signature.clone();
        *broken.last_mut().unwrap() ^= 1;
        for wrong in [broken, Vec::new(), soft.sign(&authenticator(HOST, 0x05, 8), &good)] {
            assert_eq!(checked(&good, &data, &wrong, &key), Err(Unfit::Signature), "{algorithm}");
        }
    }
    let (one, other) = (Soft::all(), Soft::all());
    for ((algorithm, one), (_, other)) in one.iter().zip(&other) {
        let (good, data) = (client("webauthn.get", CHALLENGE, ORIGIN), authenticator(HOST, 0x1D, 0));
        let foreign = check(EXPECTED, &good, &data, &one.sign(&data, &good), (*algorithm, &other.public_key()));
        assert_eq!(foreign, Err(Unfit::Signature), "another's passkey");
    }
}

#[test]
fn what_a_browser_says_has_one_meaning() {
    let twice = format!(
        r#"{{"type":"webauthn.get","challenge":"{CHALLENGE}","origin":"https://evil.example","origin":"{ORIGIN}"}}"#
    );
    let huge = format!("{}{}", " ".repeat(LARGEST), r#"{"type":"webauthn.get"}"#);
    for said in [twice.as_str(), huge.as_str(), "", "[]", r#"{"type":"webauthn.get"}"#, "\u{feff}{}"] {
        let data = authenticator(HOST, 0x05, 0);
        let checked = check(EXPECTED, said.as_bytes(), &data, &[], (ES256, &[0x30]));
        assert_eq!(checked, Err(Unfit::Form), "{}", said.len());
    }
}

proptest! {
    #[test]
    fn whatever_is_handed_in_is_refused_and_panics_nothing(
        said in "\\{\"type\":\"webauthn.(get|create)\",\"challenge\":\"Y2hhbGxlbmdlIG9mIHRoaXMgZ2F0ZXdheQ\",\"origin\":\"https://mcp.example.com:8443\"\\}|.{0,80}",
        flags: u8,
        rest in prop::collection::vec(any::<u8>(), 0..120),
        cut in 0..200_usize,
        key in prop::collection::vec(any::<u8>(), 0..120),
        signature in prop::collection::vec(any::<u8>(), 0..80),
        algorithm in prop::sample::select(vec![ES256, EDDSA, RS256, 0]),
    ) {
        let mut data = authenticator(HOST, flags, 1);
        data.extend(&rest);
        data.truncate(cut);
        let mut key = key;
        key.insert(0, 0x30);
        prop_assert!(check(EXPECTED, said.as_bytes(), &data, &signature, (algorithm, &key)).is_err());
        prop_assert!(check_new(EXPECTED, said.as_bytes(), &data, (algorithm, &key)).is_err());
    }
}
