use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use bartizan_store::MasterKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn issuer(directory: &tempfile::TempDir) -> Arc<Issuer> {
    let database = Database::new(Some(directory.path().join("state.db")), MasterKey::Beside);
    Issuer::new(database, "https://mcp.example")
}

fn given() -> Given<'static> {
    Given {
        grant: "g1",
        person: "ann",
        client: "https://app.example/c",
        resource: "https://mcp.example/mcp",
        scopes: &[],
        proof_key: Some("thumb"),
        signed_in_at: 5_000_000,
        methods: &[],
        until: i64::MAX,
    }
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_is_signed_by_a_key_that_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = issuer(&directory);
    let token = issuer.sign(&given()).await.unwrap();
    let (head, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((head["typ"].as_str(), head["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
    assert_eq!(claims["iss"], "https://mcp.example");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), token::LIFETIME);
    assert_eq!((claims["auth_time"].as_i64(), claims["cnf"]["jkt"].as_str()), (Some(5), Some("thumb")));
    let jwks = issuer.jwks().await.unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "the one in use and the next");
    let shown = keys.iter().find(|key| key["kid"] == head["kid"]).unwrap();
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(shown[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let (text, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text.as_bytes(), &signature).unwrap();
    assert!(!jwks.to_string().contains("\"d\""), "the private half is shown to nobody");
    // Another process has the same keys.
    let other = self::issuer(&directory);
    assert_eq!(other.jwks().await.unwrap(), jwks);
    let short = Given { until: clock::now().0 + 30_000_000, ..given() };
    let claims = part(&other.sign(&short).await.unwrap(), 1);
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 30, "no longer than its grant");
}

#[tokio::test]
async fn what_nobody_gave_is_not_good() {
    let directory = tempfile::tempdir().unwrap();
    assert!(!issuer(&directory).is_live("g1", "ann", "https://app.example/c").await.unwrap());
    let nowhere = Issuer::new(Database::new(None, MasterKey::Beside), "https://mcp.example");
    assert!(nowhere.is_live("g1", "ann", "c").await.is_err() && nowhere.sign(&given()).await.is_err());
}
