//! What a client shows, and who looks at it: a key, and an access token of a provider.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use bartizan_config::{Config, Environment};
use bartizan_gateway::database::Database;
use bartizan_gateway::identity::Identity;
use bartizan_store::{Change, MasterKey, Store, api_keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The address that is asked.
const RESOURCE: &str = "http://127.0.0.1:8484/mcp";

/// The head of a client's requests.
pub(crate) struct Shown {
    identity: Arc<Identity>,
    headers: HeaderMap,
}

impl Shown {
    /// With a key: one among a hundred, in a database as it is on disk.
    pub(crate) async fn key(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("keys").join("state.db");
        let store = Store::open(&path).await?;
        let mut shown = String::new();
        for number in 0..100 {
            let key = bartizan_identity::ApiKey::generate(getrandom::fill)?;
            let row = api_keys::ApiKey {
                id: key.id().to_string(),
                digest: key.digest().to_bytes(),
                principal: format!("person{number}"),
                roles: vec!["reader".to_owned()],
                scopes: vec!["mcp".to_owned()],
                note: String::new(),
                created_at: 0,
                expires_at: i64::MAX,
                revoked_at: None,
                last_used_at: None,
                replaces: None,
            };
            store.add_api_key(&row, &Change { by: "benchmark".to_owned(), at: 0 }).await?;
            shown = key.expose().to_string();
        }
        Shown::of(Identity::new(Database::new(Some(path), MasterKey::Beside)), &shown)
    }

    /// With a token: a provider signs it, and shows its keys over HTTP.
    pub(crate) async fn token(directory: &Path) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        tokio::spawn(serve(listener, keys(&pair)?));
        let text = format!(
            "[auth.oauth.provider]\nissuer = \"{issuer}\"\njwks_uri = \"{issuer}/jwks\"\ndefault_scopes = [\"mcp\"]\n\
             claims = {{ groups = \"groups\" }}\n"
        );
        let mut environment = Environment::of_process(directory);
        environment.variables.insert("BARTIZAN_HOME".to_owned(), directory.display().to_string());
        let (config, _) = Config::parse(&text, "benchmark", &environment)?;
        let identity = Identity::new(Database::new(None, MasterKey::Beside));
        identity.trust(&config.auth.issuers)?;
        Shown::of(identity, &sign(&pair, &issuer)?)
    }

    fn of(identity: Arc<Identity>, secret: &str) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {secret}"))?);
        Ok(Shown { identity, headers })
    }

    /// From a head to who asks, before the body and after it.
    pub(crate) async fn show(&self) -> anyhow::Result<()> {
        let good = self.identity.lets_in(&self.headers, IpAddr::from([127, 0, 0, 1])).await;
        if good { Ok(()) } else { Err(anyhow!("what is shown is refused")) }
    }
}

/// A token as RFC 9068 has them, for an hour.
fn sign(pair: &EcdsaKeyPair, issuer: &str) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "1" });
    let claims = json!({
        "iss": issuer, "sub": "ann", "aud": RESOURCE, "client_id": "benchmark", "iat": now, "exp": now + 3_600,
        "jti": "1", "groups": ["staff", "finance"],
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Its public half, as a key set (RFC 7517).
fn keys(pair: &EcdsaKeyPair) -> anyhow::Result<String> {
    // An uncompressed point: a byte that says so, and two coordinates.
    let point = pair.public_key().as_ref();
    let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
        return Err(anyhow!("a key of another form"));
    };
    let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
    Ok(json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256", "x": x, "y": y }] })
        .to_string())
}

/// Answers everything with the keys.
async fn serve(listener: TcpListener, keys: String) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (mut head, mut byte) = (Vec::new(), [0; 512]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte).await? {
                0 => break,
                read => head.extend(byte.iter().take(read)),
            }
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{keys}",
            keys.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}
