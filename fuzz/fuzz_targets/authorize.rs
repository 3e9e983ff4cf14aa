//! Requests for grants: whatever comes, nobody is sent to an address that the client has not said before is its own, and
//! what is sent there holds nothing but what it should.
#![no_main]

use bartizan_identity::grant::authorize::{Asked, Offer, Refusal};
use bartizan_identity::grant::client::{Client, document_host};
use bartizan_identity::grant::redirect::RedirectUri;
use bartizan_identity::grant::token::{RevokeRequest, TokenRequest};
use bartizan_identity::grant::{OAuthError, Params};
use libfuzzer_sys::fuzz_target;

const ISSUER: &str = "https://mcp.example";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        address(text);
    }
    Client::from_document("https://app.example/c", bytes).ok();
    Client::from_registration("c", bytes).ok();
    let Ok(params) = Params::parse(bytes) else { return };
    TokenRequest::read(&params).ok();
    RevokeRequest::read(&params).ok();
    let Ok(asked) = Asked::read(&params) else { return };
    let uris = ["https://app.example/cb?keep=1", "http://127.0.0.1/cb", "cursor://app/cb"].map(str::to_owned);
    let client = Client::configured("app", "App", &uris).expect("they are good");
    let offer = Offer {
        is_resource: &|resource| resource.starts_with(ISSUER),
        is_scope: &|_, scope| scope == "mcp",
        default_scope: &|_| "mcp".to_owned(),
    };
    let (sent, code) = match asked.check(&client, &offer) {
        Ok(request) => (request.answer().code(ISSUER, "btc_x"), true),
        Err(Refusal::Client(error, answer)) => (answer.error(ISSUER, &error), false),
        Err(Refusal::Person(OAuthError { .. })) => return,
    };
    let url = url(&sent);
    let known = [("https", Some("app.example")), ("http", Some("127.0.0.1")), ("cursor", Some("app"))];
    assert!(known.contains(&(url.scheme(), url.host_str())) && url.path() == "/cb" && url.fragment().is_none(), "{sent}");
    let said: Vec<_> = url.query_pairs().collect();
    assert_eq!(said.iter().filter(|(name, _)| name == "code").count(), usize::from(code), "{sent}");
    assert!(said.iter().any(|(name, value)| name == "iss" && value == ISSUER), "{sent}");
});

/// What is taken for an address is read alike by whoever reads it, and says so of itself.
fn address(text: &str) {
    _ = document_host(text, false);
    let Ok(uri) = RedirectUri::parse(text) else { return };
    assert!(uri.is(&uri));
    let again = RedirectUri::parse(uri.as_str()).expect("it was one before");
    assert_eq!(again, uri);
    let sent = uri.with(&[("code", "a b&c#d")]);
    assert!(url(&sent).query_pairs().any(|(name, value)| name == "code" && value == "a b&c#d"), "{sent}");
    let source = uri.source();
    assert!(!source.contains([' ', ';', ',', '\'', '"']), "{source}");
}

fn url(text: &str) -> url::Url {
    url::Url::parse(text).expect("a browser reads it")
}
