use serde_json::json;

use super::*;
use crate::token::tests::Signer;

const NOW: i64 = 1_800_000_000;
const HERE: &str = "https://mcp.example/mcp";
const TOKEN: &str = "a-token";

fn thumbprint(signer: &Signer) -> String {
    Key::of(signer.jwk().as_object().unwrap()).unwrap().thumbprint().to_owned()
}

#[test]
fn a_proof_is_good_for_one_request_of_one_token() {
    let (own, other) = (Signer::p256(), Signer::ed());
    let nonces = ["now".to_owned(), "before".to_owned()];
    let mut with_private = own.jwk();
    with_private["d"] = "AA".into();
    let ath = encode(&Sha256::digest(TOKEN));
    let claim = |name| Err(ProofError::Token(TokenError::Claim(name)));
    let header = |name| Err(ProofError::Token(TokenError::Header(name)));
    for (name, head, body, nonces, expected) in [
        ("good", json!({}), json!({}), None, Ok(())),
        ("a query", json!({}), json!({"htu": "HTTPS://MCP.example:443/mcp?a#b"}), None, Ok(())),
        ("no jti", json!({}), json!({"jti": null}), None, claim("jti")),
        ("an empty jti", json!({}), json!({"jti": ""}), None, claim("jti")),
        ("another method", json!({}), json!({"htm": "GET"}), None, claim("htm")),
        ("a method in small letters", json!({}), json!({"htm": "post"}), None, claim("htm")),
        ("another path", json!({}), json!({"htu": "https://mcp.example/mcp/files"}), None, claim("htu")),
        ("another host", json!({}), json!({"htu": "https://evil.example/mcp"}), None, claim("htu")),
        ("another scheme", json!({}), json!({"htu": "http://mcp.example/mcp"}), None, claim("htu")),
        ("another port", json!({}), json!({"htu": "https://mcp.example:8443/mcp"}), None, claim("htu")),
        ("no address", json!({}), json!({"htu": "mcp"}), None, claim("htu")),
        ("a minute old", json!({}), json!({"iat": NOW - 60}), None, Ok(())),
        ("older", json!({}), json!({"iat": NOW - 61}), None, claim("iat")),
        ("a bit ahead", json!({}), json!({"iat": NOW + 10}), None, Ok(())),
        ("ahead", json!({}), json!({"iat": NOW + 11}), None, claim("iat")),
        ("out of all time", json!({}), json!({"iat": i64::MAX}), None, claim("iat")),
        ("another token", json!({}), json!({"ath": encode(&Sha256::digest("other"))}), None, claim("ath")),
        ("no token", json!({}), json!({"ath": null}), None, claim("ath")),
        ("another kind", json!({"typ": "at+jwt"}), json!({}), None, header("typ")),
        ("no key", json!({"jwk": null}), json!({}), None, header("jwk")),
        ("a private key", json!({"jwk": with_private}), json!({}), None, header("jwk")),
        ("another key", json!({"jwk": other.jwk()}), json!({}), None, header("alg")),
        ("not signed", json!({"alg": "none"}), json!({}), None, header("alg")),
        ("no nonce", json!({}), json!({}), Some(&nonces[..]), Err(ProofError::Nonce)),
        ("an old nonce", json!({}), json!({"nonce": "long ago"}), Some(&nonces), Err(ProofError::Nonce)),
        ("a nonce", json!({}), json!({"nonce": "before"}), Some(&nonces), Ok(())),
    ] {
        let mut header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": own.jwk()});
        let mut claims = json!({"htm": "POST", "htu": HERE, "iat": NOW, "jti": "1", "ath": ath});
        for (whole, change) in [(&mut header, head), (&mut claims, body)] {
            for (name, value) in change.as_object().unwrap() {
                whole[name] = value.clone();
            }
        }
        let request =
            Request { method: "POST", uri: HERE, token: TOKEN, bound_to: &thumbprint(&own), nonces, now: NOW * SECOND };
        assert_eq!(check(&own.sign(&header, &claims), &request).map(drop), expected, "{name}");
    }
    let proof = |signer: &Signer, algorithm: &str| {
        signer.sign(
            &json!({"typ": "dpop+jwt", "alg": algorithm, "jwk": signer.jwk()}),
            &json!({"htm": "POST", "htu": HERE, "iat": NOW, "jti": "1", "ath": ath}),
        )
    };
    let bound_to = thumbprint(&own);
    let request =
        Request { method: "POST", uri: HERE, token: TOKEN, bound_to: &bound_to, nonces: None, now: NOW * SECOND };
    assert_eq!(check(&proof(&other, "EdDSA"), &request), Err(ProofError::OtherKey), "whoever copied the token");
    let (good, theirs) = (proof(&own, "ES256"), proof(&Signer::p256(), "ES256"));
    let mixed = format!("{}.{}", good.rsplit_once('.').unwrap().0, theirs.rsplit_once('.').unwrap().1);
    assert_eq!(check(&mixed, &request), Err(TokenError::Signature.into()), "with the signature of another");
}

#[test]
fn a_proof_is_shown_once_for_as_long_as_it_is_good_and_one_key_does_not_take_all_places() {
    let shown = |key: u8, proof: u8| Shown { key: [key; 32], proof: [proof; 32] };
    let replays = Replays::new(2 * 8 * 2);
    assert_eq!(replays.show(&shown(1, 1), NOW * SECOND), Ok(()));
    for later in [0, 30, 69, 70, 71, 139] {
        let moment = (NOW + later) * SECOND;
        assert_eq!(replays.show(&shown(1, 1), moment), Err(ProofError::Replayed), "{later} s later");
    }
    assert_eq!(replays.show(&shown(1, 2), (NOW + 139) * SECOND), Ok(()));
    assert_eq!(replays.show(&shown(1, 2), (NOW + 205) * SECOND), Err(ProofError::Replayed));
    // It is too old to be shown by then.
    assert_eq!(replays.show(&shown(1, 1), (NOW + 205) * SECOND), Ok(()));
    assert_eq!(replays.show(&shown(1, 3), (NOW + 211) * SECOND), Ok(()));
    assert_eq!(replays.show(&shown(1, 4), (NOW + 212) * SECOND), Err(ProofError::Crowded), "its share");
    for key in 2..9 {
        for proof in 0..2 {
            assert_eq!(replays.show(&shown(key, key * 10 + proof), (NOW + 212) * SECOND), Ok(()));
        }
    }
    assert_eq!(replays.show(&shown(9, 200), (NOW + 212) * SECOND), Err(ProofError::Crowded), "all of them");
    assert_eq!(replays.show(&shown(9, 200), (NOW + 500) * SECOND), Ok(()));
}
