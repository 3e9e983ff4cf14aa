use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA512,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

/// Somebody who signs.
pub(crate) enum Signer {
    Ed(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    pub(crate) fn ed() -> Signer {
        Signer::Ed(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn p256() -> Signer {
        Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = |pair: &EcdsaKeyPair, curve: &str| {
            let bytes = &pair.public_key().as_ref()[1..];
            let (x, y) = bytes.split_at(bytes.len() / 2);
            json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
        };
        match self {
            Signer::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
            Signer::P256(pair) => point(pair, "P-256"),
            Signer::P384(pair) => point(pair, "P-384"),
            Signer::Rsa(pair) => {
                // An `RSAPublicKey` of 2,048 bits: the modulus after nine bytes, and the exponent at the end.
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "n": encode(&der[9..265]), "e": encode(&der[der.len() - 3..])})
            }
        }
    }

    /// The same key as one that has a name.
    pub(crate) fn named(&self, id: &str) -> Value {
        let mut jwk = self.jwk();
        jwk["kid"] = id.into();
        jwk
    }

    fn bytes(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Ed(pair) => pair.sign(text).as_ref().to_vec(),
            Signer::P256(pair) | Signer::P384(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let kind: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == "PS512" { &RSA_PSS_SHA512 } else { &RSA_PKCS1_SHA256 };
                pair.sign(kind, &random, text, &mut signature).unwrap();
                signature
            }
        }
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.bytes(header["alg"].as_str().unwrap_or_default(), text.as_bytes());
        format!("{text}.{}", encode(&signature))
    }
}

static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
static ED: LazyLock<Signer> = LazyLock::new(Signer::ed);
static P256: LazyLock<Signer> = LazyLock::new(Signer::p256);
static P384: LazyLock<Signer> =
    LazyLock::new(|| Signer::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()));

fn keys() -> KeySet {
    let set = json!({"keys": [RSA.named("rsa"), ED.named("ed"), P256.named("p256"), P384.named("p384")]});
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

const ISSUER: &str = "https://idp.example";
const HERE: &str = "https://mcp.example/mcp";
const NOW: i64 = 1_800_000_000;
const SECOND: i64 = 1_000_000;

fn header() -> Value {
    json!({"typ": "at+jwt", "alg": "ES256", "kid": "p256"})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "ann", "aud": HERE, "client_id": "app", "jti": "1", "scope": "mcp",
        "iat": NOW - 10, "exp": NOW + 300
    })
}

/// `whole` with these members in place of its own; `null` takes one out.
fn with(mut whole: Value, change: &Value) -> Value {
    let members = whole.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    whole
}

fn expected(untyped: bool) -> Expected<'static> {
    Expected { issuer: ISSUER, untyped, leeway: 60 * SECOND }
}

fn verify(token: &str, untyped: bool) -> Result<Access, TokenError> {
    let jws = Jws::parse(token)?;
    jws.check_signature(&keys())?;
    let access = Access::of_jws(jws, &expected(untyped))?;
    access.when.check(NOW * SECOND)?;
    if access.is_for([HERE].into_iter()) { Ok(access) } else { Err(TokenError::Claim("aud")) }
}

#[test]
fn each_kind_of_key_verifies_what_it_signed_and_nothing_else() {
    for (signer, algorithm, id, good) in [
        (&*RSA, "RS256", "rsa", Ok(())),
        (&*RSA, "PS512", "rsa", Ok(())),
        (&*ED, "EdDSA", "ed", Ok(())),
        (&*ED, "Ed25519", "ed", Ok(())),
        (&*P256, "ES256", "p256", Ok(())),
        (&*P384, "ES384", "p384", Ok(())),
        // Signed by it, under another name of a key or an algorithm.
        (&*P256, "ES256", "p384", Err(TokenError::Header("alg"))),
        (&*P256, "ES256", "rsa", Err(TokenError::Header("alg"))),
        (&*P256, "ES384", "p256", Err(TokenError::Header("alg"))),
        (&*RSA, "RS384", "rsa", Err(TokenError::Signature)),
        (&*RSA, "PS256", "rsa", Err(TokenError::Signature)),
        (&*RSA, "HS256", "rsa", Err(TokenError::Header("alg"))),
        (&*RSA, "none", "rsa", Err(TokenError::Header("alg"))),
        (&*RSA, "None", "rsa", Err(TokenError::Header("alg"))),
        (&*RSA, "rs256", "rsa", Err(TokenError::Header("alg"))),
        (&*ED, "EdDSA", "of-nobody", Err(TokenError::UnknownKey)),
    ] {
        let token = signer.sign(&with(header(), &json!({"alg": algorithm, "kid": id})), &claims());
        assert_eq!(verify(&token, false).map(drop), good, "{algorithm} {id}");
    }
}

#[test]
fn a_key_for_one_algorithm_or_for_something_else_verifies_nothing_else() {
    let token = RSA.sign(&with(header(), &json!({"alg": "RS256", "kid": "rsa"})), &claims());
    let jws = Jws::parse(&token).unwrap();
    for (change, good) in [
        (json!({}), true),
        (json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"]}), true),
        (json!({"alg": "PS256"}), false),
        (json!({"alg": "HS256"}), false),
        (json!({"alg": "RSA-OAEP"}), false),
        (json!({"use": "enc"}), false),
        (json!({"key_ops": ["encrypt"]}), false),
        (json!({"d": "AQAB"}), false),
        (json!({"kty": "oct", "k": "AQAB"}), false),
        (json!({"kty": "EC"}), false),
        (json!({"kid": null}), false),
        (json!({"n": "AQAB"}), false),
        (json!({"e": "AQ=="}), false),
    ] {
        let set = json!({"keys": [{"kty": "unknown"}, 1, with(RSA.named("rsa"), &change)]});
        let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(jws.check_signature(&keys).is_ok(), good, "{change}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(KeySet::parse(format!(r#"{{"keys":[{}0]}}"#, "0,".repeat(128)).as_bytes()), None);
}

#[test]
fn headers_that_are_not_accepted() {
    for (change, error) in [
        (json!({"typ": "application/at+jwt"}), None),
        (json!({"typ": "AT+JWT"}), None),
        (json!({"x5t": "a thumbprint means nothing here"}), None),
        (json!({"typ": null}), Some("typ")),
        (json!({"typ": "JWT"}), Some("typ")),
        (json!({"typ": "dpop+jwt"}), Some("typ")),
        (json!({"typ": 1}), Some("typ")),
        (json!({"alg": null}), Some("alg")),
        (json!({"alg": ["ES256"]}), Some("alg")),
        (json!({"kid": null}), Some("kid")),
        (json!({"kid": ""}), Some("kid")),
        (json!({"kid": 1}), Some("kid")),
        (json!({"kid": "x".repeat(257)}), Some("kid")),
        (json!({"crit": ["exp"]}), Some("crit")),
        (json!({"crit": []}), Some("crit")),
        (json!({"b64": false}), Some("b64")),
        (json!({"zip": "DEF"}), Some("zip")),
        (json!({"jku": "https://evil.example/jwks"}), Some("jku")),
        (json!({"x5u": "https://evil.example/chain"}), Some("x5u")),
        (json!({"x5c": ["AA"]}), Some("x5c")),
        (json!({"jwk": P256.jwk()}), Some("jwk")),
    ] {
        let token = P256.sign(&with(header(), &change), &claims());
        assert_eq!(verify(&token, false).err(), error.map(TokenError::Header), "{change}");
    }
    for (kind, untyped) in
        [(json!({"typ": "JWT"}), true), (json!({"typ": null}), true), (json!({"typ": "logout+jwt"}), false)]
    {
        let token = P256.sign(&with(header(), &kind), &claims());
        assert_eq!(verify(&token, true).is_ok(), untyped, "{kind}");
    }
}

#[test]
fn claims_that_are_not_what_they_have_to_be() {
    use TokenError::{Claim, Early, Expired};
    for (change, error) in [
        (json!({"aud": [HERE]}), None),
        (json!({"aud": ["https://other.example", HERE]}), None),
        (json!({"nbf": NOW + 60}), None),
        (json!({"iat": NOW + 60}), None),
        (json!({"exp": NOW - 59}), None),
        (json!({"exp": NOW as f64 + 0.5}), None),
        (json!({"aud": null}), Some(Claim("aud"))),
        (json!({"aud": []}), Some(Claim("aud"))),
        (json!({"aud": [HERE, 1]}), Some(Claim("aud"))),
        (json!({"aud": {"a": HERE}}), Some(Claim("aud"))),
        (json!({"aud": "https://mcp.example/mcp/"}), Some(Claim("aud"))),
        (json!({"aud": "https://mcp.example/mcp/files"}), Some(Claim("aud"))),
        (json!({"aud": "https://mcp.example"}), Some(Claim("aud"))),
        (json!({"aud": "HTTPS://MCP.EXAMPLE/mcp"}), Some(Claim("aud"))),
        (json!({"iss": null}), Some(Claim("iss"))),
        (json!({"iss": "https://idp.example/"}), Some(Claim("iss"))),
        (json!({"iss": "https://IDP.example"}), Some(Claim("iss"))),
        (json!({"iss": [ISSUER]}), Some(Claim("iss"))),
        (json!({"sub": null}), Some(Claim("sub"))),
        (json!({"sub": ""}), Some(Claim("sub"))),
        (json!({"sub": 7}), Some(Claim("sub"))),
        (json!({"client_id": null}), Some(Claim("client_id"))),
        (json!({"jti": null}), Some(Claim("jti"))),
        (json!({"iat": null}), Some(Claim("iat"))),
        (json!({"exp": null}), Some(Claim("exp"))),
        (json!({"exp": "2030"}), Some(Claim("exp"))),
        (json!({"exp": -1}), Some(Claim("exp"))),
        (json!({"exp": u64::MAX}), Some(Claim("exp"))),
        (json!({"exp": 1e300}), Some(Claim("exp"))),
        (json!({"nbf": "now"}), Some(Claim("nbf"))),
        (json!({"exp": NOW - 60}), Some(Expired)),
        (json!({"nbf": NOW + 61}), Some(Early)),
        (json!({"iat": NOW + 61}), Some(Early)),
        (json!({"cnf": {"jkt": "a thumbprint"}}), None),
        (json!({"cnf": {"x5t#S256": "a digest"}}), Some(Claim("cnf"))),
        (json!({"cnf": {"jkt": "a", "x5t#S256": "b"}}), Some(Claim("cnf"))),
        (json!({"cnf": {}}), Some(Claim("cnf"))),
        (json!({"cnf": {"jkt": 1}}), Some(Claim("cnf"))),
        (json!({"cnf": "a"}), Some(Claim("cnf"))),
    ] {
        let token = P256.sign(&header(), &with(claims(), &change));
        assert_eq!(verify(&token, false).err(), error, "{change}");
    }
    let early = json!({"client_id": null, "jti": null});
    assert!(verify(&P256.sign(&header(), &with(claims(), &early)), true).is_ok(), "before RFC 9068");
}

#[test]
fn what_is_no_signed_text_or_was_changed() {
    let good = P256.sign(&header(), &claims());
    assert!(verify(&good, false).is_ok() && Jws::is_meant(&good));
    let parts: Vec<_> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let twice = encode(br#"{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"p256"}"#);
    for text in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{signature}="),
        format!(" {good}"),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{twice}.{body}.{signature}"),
        format!("{head}.{}.{signature}", encode(b"[]")),
        format!("{head}.{}.{signature}", "A".repeat(LONGEST)),
    ] {
        assert!(matches!(verify(&text, false), Err(TokenError::Form)), "{text}");
    }
    let other = encode(with(claims(), &json!({"sub": "eve"})).to_string().as_bytes());
    assert_eq!(verify(&format!("{head}.{other}.{signature}"), false), Err(TokenError::Signature));
    // The public key is no secret, so whoever uses it as one proves nothing.
    let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": "p256"}).to_string();
    let mac = encode(&Sha256::digest(P256.jwk()["x"].as_str().unwrap()));
    assert_eq!(verify(&format!("{}.{body}.{mac}", encode(header.as_bytes())), false), Err(TokenError::Header("alg")));
}

#[test]
fn what_an_issuer_says_of_an_opaque_token() {
    use TokenError::{Claim, Expired};
    for (change, error) in [
        (json!({}), None),
        (json!({"iss": null, "iat": null, "exp": null}), None),
        (json!({"active": false}), Some(Claim("active"))),
        (json!({"active": null}), Some(Claim("active"))),
        (json!({"active": "true"}), Some(Claim("active"))),
        (json!({"iss": "https://other.example"}), Some(Claim("iss"))),
        (json!({"aud": null}), Some(Claim("aud"))),
        (json!({"exp": NOW - 100}), Some(Expired)),
        (json!({"cnf": {"x5t#S256": "a"}}), Some(Claim("cnf"))),
    ] {
        let said = with(with(claims(), &json!({"active": true})), &change);
        let access = Access::of_introspection(said.as_object().unwrap().clone(), &expected(false), NOW * SECOND);
        let checked = access.and_then(|access| access.when.check(NOW * SECOND));
        assert_eq!(checked.err(), error, "{change}");
    }
}

#[test]
fn claims_are_found_where_the_configuration_says() {
    let more = json!({
        "realm_access": {"roles": ["admin", 1, "dev"]}, "https://example.com/team": "blue", "scp": ["a", "b"],
        "scope": " mcp  server:files "
    });
    let access = verify(&P256.sign(&header(), &with(claims(), &more)), false).unwrap();
    let path = |names: &[&str]| ClaimPath(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(access.text(&ClaimPath::of("sub")), Some("ann"));
    assert_eq!(access.list(&path(&["realm_access", "roles"])), ["admin", "dev"]);
    assert_eq!(access.list(&path(&["https://example.com/team"])), ["blue"]);
    assert_eq!(access.words(&path(&["scope"])), ["mcp", "server:files"]);
    assert_eq!(access.words(&path(&["scp"])), ["a", "b"]);
    for nothing in [&["realm_access"][..], &["realm_access", "0"], &["none"], &["sub", "a"], &[]] {
        assert!(
            access.list(&path(nothing)).is_empty() && access.text(&path(nothing)).is_none_or(str::is_empty),
            "{nothing:?}"
        );
    }
}

#[test]
fn a_thumbprint_is_that_of_the_specification() {
    // RFC 7638, section 3.1, and RFC 8037, appendix A.3.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    for (jwk, thumbprint) in [
        (
            json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ] {
        assert_eq!(Key::of(jwk.as_object().unwrap()).unwrap().thumbprint(), thumbprint);
    }
}
