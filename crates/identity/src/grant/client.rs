//! Who a client says it is.
//!
//! **Threat.** Any program can say that it is a well-known one. What a client says of itself is shown to people as what it
//! says, and only ever leads to addresses that whoever has its name has written down: in a document at the address that is
//! its id, in a registration, or in the configuration of the operator.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use url::Host;

use super::OAuthError;
use super::redirect::{NotAnAddress, RedirectUri, plain};

/// The most addresses of one client.
const MANY: usize = 32;
/// The longest name, in characters.
const NAME: usize = 100;
/// The longest id.
const ID: usize = 1024;

/// How a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The operator wrote it down.
    Configured,
    /// By a document at the address that is its id.
    Document,
    /// It registered itself.
    Registered,
}

/// A client, as far as it is known. All of them are public: none has a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// What it calls itself; for people, and no proof of anything.
    pub name: String,
    /// Where browsers may be sent to.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether it may keep what it is given for longer than one access token.
    pub refreshes: bool,
    /// How it is known.
    pub known: Known,
}

/// Why a client is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAClient {
    /// What it says cannot be read.
    #[error("what the client says of itself cannot be read: {0}")]
    Unreadable(&'static str),
    /// It says that it is another one.
    #[error("the document at that address is of another client")]
    Another,
    /// One of its addresses is none.
    #[error("{0}")]
    Address(#[from] NotAnAddress),
    /// It wants to authenticate, or to be given something, in a way that there is not.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl NotAClient {
    /// As RFC 7591, section 3.2.2, says it.
    #[must_use]
    pub fn error(&self) -> OAuthError {
        match self {
            NotAClient::Address(_) => OAuthError::new("invalid_redirect_uri", self.to_string()),
            _ => OAuthError::new("invalid_client_metadata", self.to_string()),
        }
    }
}

/// What clients say of themselves (RFC 7591, section 2), as far as it matters here. Whatever else they say passes.
#[derive(Deserialize)]
struct Said {
    client_id: Option<String>,
    client_name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    client_secret: Option<Value>,
}

impl Client {
    /// A client of the configuration.
    ///
    /// # Errors
    /// If one of its addresses is none.
    pub fn configured(id: &str, name: &str, redirect_uris: &[String]) -> Result<Client, NotAClient> {
        let redirect_uris = addresses(redirect_uris)?;
        Ok(Client {
            id: id.to_owned(),
            name: name.to_owned(),
            redirect_uris,
            refreshes: true,
            known: Known::Configured,
        })
    }

    /// A client by the document that stands at `id`.
    ///
    /// # Errors
    /// If it is not of this client, or not one of a client that can be given anything here.
    pub fn from_document(id: &str, document: &[u8]) -> Result<Client, NotAClient> {
        let said = read(document)?;
        // To the letter: whoever can write somewhere else on that host must not become the client.
        if said.client_id.as_deref() != Some(id) {
            return Err(NotAClient::Another);
        }
        if said.client_secret.is_some() {
            return Err(NotAClient::Unsupported("a document that everybody can read holds no secret"));
        }
        let method = said.token_endpoint_auth_method.as_deref();
        if method.is_some_and(|method| method.starts_with("client_secret")) {
            return Err(NotAClient::Unsupported("a client that has a document has no secret"));
        }
        if !matches!(method, None | Some("none")) {
            return Err(NotAClient::Unsupported(
                "clients do not authenticate here: token_endpoint_auth_method is none",
            ));
        }
        said.client(id, Known::Document)
    }

    /// A client that registers itself and will be called `id`. It gets no secret, whatever it asks for; it is told so, and
    /// may go on without (RFC 7591, section 3.2.1).
    ///
    /// # Errors
    /// If it cannot be given anything here.
    pub fn from_registration(id: &str, request: &[u8]) -> Result<Client, NotAClient> {
        read(request)?.client(id, Known::Registered)
    }

    /// The one of its addresses that a request means.
    #[must_use]
    pub fn known_as(&self, asked: &RedirectUri) -> Option<&RedirectUri> {
        self.redirect_uris.iter().find(|registered| asked.is(registered))
    }

    /// The host that vouches for it, if one does: that of the address at which its document stands.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let url = url::Url::parse(&self.id).ok().filter(|_| self.known == Known::Document)?;
        url.host_str().map(str::to_owned)
    }
}

impl Said {
    fn client(self, id: &str, known: Known) -> Result<Client, NotAClient> {
        let lacks = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref().is_some_and(|list| !list.iter().any(|one| one == word))
        };
        if lacks(&self.grant_types, "authorization_code") {
            return Err(NotAClient::Unsupported("the only grant that a person can give is authorization_code"));
        }
        if lacks(&self.response_types, "code") {
            return Err(NotAClient::Unsupported("the only response_type is code"));
        }
        // Clients that say nothing of it (RFC 7591 has `authorization_code` alone as the default) use it if they get it.
        let refreshes = !lacks(&self.grant_types, "refresh_token");
        let redirect_uris = addresses(self.redirect_uris.as_deref().unwrap_or_default())?;
        let name = self.client_name.map(|name| shown(&name)).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "unnamed".to_owned());
        Ok(Client { id: id.to_owned(), name, redirect_uris, refreshes, known })
    }
}

/// Whether a `client_id` is an address at which a document may stand, and which host that is; with `plaintext` also without
/// encryption, which is for tests.
#[must_use]
pub fn document_host(id: &str, plaintext: bool) -> Option<(url::Url, Host<String>)> {
    let url = plain(id).filter(|_| id.len() <= ID)?;
    let scheme = url.scheme() == "https" || plaintext && url.scheme() == "http";
    // At the root of a host stands its front page, which whoever may write there does not mean as this.
    if !scheme || url.path() == "/" {
        return None;
    }
    let host = url.host()?.to_owned();
    Some((url, host))
}

/// Whether a text may be an id at all.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=ID).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn read(json: &[u8]) -> Result<Said, NotAClient> {
    serde_json::from_slice(json).map_err(|_| NotAClient::Unreadable("it is no JSON object of client metadata"))
}

fn addresses(texts: &[String]) -> Result<Vec<RedirectUri>, NotAClient> {
    if texts.is_empty() || texts.len() > MANY {
        return Err(NotAClient::Unsupported("a client has 1 to 32 redirect_uris"));
    }
    Ok(texts.iter().map(|text| RedirectUri::parse(text)).collect::<Result<_, _>>()?)
}

/// A name as it may be shown: on one line, without what changes how the text around it is read.
fn shown(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
    };
    let plain: String = name.chars().filter(|c| !hidden(*c)).take(NAME).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "https://app.example/client.json";

    fn document() -> Value {
        json!({
            "client_id": ID, "client_name": "App", "client_uri": "https://app.example", "logo_uri": 7,
            "redirect_uris": ["http://127.0.0.1/callback", "https://app.example/cb"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = document();
        document[name] = value;
        document
    }

    #[test]
    fn a_document_says_who_its_client_is() {
        let client = Client::from_document(ID, document().to_string().as_bytes()).unwrap();
        assert_eq!((client.name.as_str(), client.refreshes, client.known), ("App", true, Known::Document));
        assert_eq!(client.host().as_deref(), Some("app.example"));
        let known = RedirectUri::parse("http://127.0.0.1:5000/callback").unwrap();
        assert_eq!(client.known_as(&known).map(RedirectUri::as_str), Some("http://127.0.0.1/callback"));
        assert!(client.known_as(&RedirectUri::parse("http://127.0.0.1:5000/other").unwrap()).is_none());
        let least = json!({"client_id": ID, "redirect_uris": ["https://app.example/cb"]}).to_string();
        let client = Client::from_document(ID, least.as_bytes()).unwrap();
        assert_eq!((client.name.as_str(), client.refreshes), ("unnamed", true));
        let once = with("grant_types", json!(["authorization_code"])).to_string();
        assert!(!Client::from_document(ID, once.as_bytes()).unwrap().refreshes);
    }

    #[test]
    fn documents_that_say_nothing_good() {
        for (document, error) in [
            (json!([]), "invalid_client_metadata"),
            (json!({}), "invalid_client_metadata"),
            (with("client_id", json!("https://app.example/client.json/")), "invalid_client_metadata"),
            (with("client_id", json!("https://APP.example/client.json")), "invalid_client_metadata"),
            (with("client_id", json!(null)), "invalid_client_metadata"),
            (with("client_secret", json!("s")), "invalid_client_metadata"),
            (with("token_endpoint_auth_method", json!("client_secret_basic")), "invalid_client_metadata"),
            (with("token_endpoint_auth_method", json!("private_key_jwt")), "invalid_client_metadata"),
            (with("redirect_uris", json!([])), "invalid_client_metadata"),
            (with("redirect_uris", json!("https://app.example/cb")), "invalid_client_metadata"),
            (with("redirect_uris", json!(vec!["https://app.example/cb"; 33])), "invalid_client_metadata"),
            (with("redirect_uris", json!(["https://app.example/cb", "http://app.example/cb"])), "invalid_redirect_uri"),
            (with("redirect_uris", json!(["javascript:alert(1)"])), "invalid_redirect_uri"),
            (with("grant_types", json!(["client_credentials"])), "invalid_client_metadata"),
            (with("response_types", json!(["token"])), "invalid_client_metadata"),
        ] {
            let refused = Client::from_document(ID, document.to_string().as_bytes()).unwrap_err();
            assert_eq!(refused.error().error, error, "{document}");
        }
        let twice =
            br#"{"client_id":"https://app.example/client.json","client_id":"x","redirect_uris":["https://a.example"]}"#;
        assert!(Client::from_document(ID, twice).is_err(), "what stands there twice has no meaning");
    }

    #[test]
    fn a_registration_gets_no_secret() {
        let asked = with("token_endpoint_auth_method", json!("client_secret_basic")).to_string();
        let client = Client::from_registration("new", asked.as_bytes()).unwrap();
        assert_eq!((client.id.as_str(), client.known, client.host()), ("new", Known::Registered, None));
        let bad = with("redirect_uris", json!(["http://evil.example/"])).to_string();
        assert!(Client::from_registration("new", bad.as_bytes()).is_err());
    }

    #[test]
    fn a_name_shows_nothing_but_itself() {
        for (name, expected) in [
            ("Claude Code", "Claude Code"),
            (" a \n\t b ", "a b"),
            ("\u{202e}edualC", "edualC"),
            ("Cl\u{200b}aude\u{feff}", "Claude"),
            ("<b>Claude</b>", "<b>Claude</b>"),
            ("Éditeur 日本", "Éditeur 日本"),
        ] {
            assert_eq!(shown(name), expected);
        }
        assert_eq!(shown(&"x".repeat(500)).len(), 100);
    }

    #[test]
    fn ids_at_which_a_document_may_stand() {
        for (id, secure, plaintext) in [
            (ID, true, true),
            ("https://app.example:8443/c?v=1", true, true),
            ("https://203.0.113.1/c", true, true),
            ("http://127.0.0.1:1/c", false, true),
            ("https://app.example", false, false),
            ("https://app.example/", false, false),
            ("https://app.example/a/../c", false, false),
            ("https://app.example/c#f", false, false),
            ("https://u:p@app.example/c", false, false),
            ("https://app.example:443/c", false, false),
            ("https://0x7f.1/c", false, false),
            ("ftp://app.example/c", false, false),
            ("app", false, false),
        ] {
            assert_eq!(document_host(id, false).is_some(), secure, "{id}");
            assert_eq!(document_host(id, true).is_some(), plaintext, "{id}");
        }
    }
}
