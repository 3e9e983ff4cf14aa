//! What a client says of itself, at the address that is its id.
//!
//! **Threat.** Anybody may have chosen that address, and what is there. Where it may lead is held by [`crate::fetch`]; here,
//! that it is a small document of the type that is meant, and how long it may be remembered.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::fetch::{self, FetchError, Reach};

/// How long it may take in all: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// The largest one.
const LARGEST: usize = 16 * 1024;

/// Said of whatever does not answer, for whatever reason: whoever may name addresses is not to learn from it which names there
/// are in the networks of the gateway, and what is there. The log has the difference.
const NOT_THERE: &str = "there is no answer from an address of the public internet in time";

/// A document, and for how many seconds its server says that it stays the same.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) content: Bytes,
    pub(super) max_age: Option<u64>,
}

/// Fetches a document from as near as `reach`; in words why there is none.
pub(super) async fn fetch(url: &url::Url, reach: Reach) -> Result<Document, &'static str> {
    let uri = url.as_str().parse().map_err(|_| "it is no address")?;
    let fetched = tokio::time::timeout(PATIENCE, fetch::get(&uri, &reach.into())).await;
    let fetched = fetched.map_err(|_| NOT_THERE)?.map_err(|error| {
        tracing::info!(host = url.host_str(), %error, "the description of a client is not to be had");
        match error {
            FetchError::TooLarge(_) => "the answer is too large",
            _ => NOT_THERE,
        }
    })?;
    if fetched.status != StatusCode::OK {
        return Err("the answer has another status than 200");
    }
    if !is_json(&fetched.headers) {
        return Err("the answer is not of the type application/json");
    }
    if fetched.body.len() > LARGEST {
        return Err("the answer is too large");
    }
    let max_age = said(&fetched.headers, &header::CACHE_CONTROL).and_then(max_age);
    Ok(Document { content: fetched.body, max_age })
}

fn said<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = said(headers, &header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    let kind = kind.unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// For how long an answer may be kept; no time at all if it may not.
fn max_age(said: &str) -> Option<u64> {
    let mut parts = said.split(',').map(|part| part.trim().to_ascii_lowercase());
    if parts.clone().any(|part| part == "no-store" || part == "no-cache") {
        return Some(0);
    }
    parts.find_map(|part| part.strip_prefix("max-age=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of an answer.
    async fn fetched(answer: String) -> Result<Document, &'static str> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/client.json", listener.local_addr().unwrap().port()).parse().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 2048];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.ok();
            if answer.ends_with("...") {
                std::future::pending::<()>().await;
            }
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let document = fetch(&url, Reach::Machine).await;
        serving.abort();
        if let Ok(head) = serving.await {
            assert!(head.starts_with("GET /client.json HTTP/1.1\r\n") && !head.contains("cookie"), "{head}");
        }
        document
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
    }

    const JSON: &str = "Content-Type: application/json\r\n";

    #[tokio::test]
    async fn a_document_is_json_of_a_size_in_time() {
        let good =
            fetched(answer("200 OK", &format!("{JSON}Cache-Control: public, max-age=60\r\n"), "{}")).await.unwrap();
        assert_eq!((&*good.content, good.max_age), (&b"{}"[..], Some(60)));
        let other = answer("200 OK", "Content-Type: application/vnd.x+json; charset=utf-8\r\n", "{}");
        assert!(fetched(other).await.is_ok());
        assert!(fetched(answer("200 OK", JSON, &" ".repeat(LARGEST))).await.is_ok());
        for (bad, why) in [
            (answer("302 Found", "Location: http://127.0.0.1/\r\n", ""), "status"),
            (answer("404 Not Found", JSON, "{}"), "status"),
            (answer("200 OK", "", "{}"), "type"),
            (answer("200 OK", "Content-Type: text/html\r\n", "{}"), "type"),
            (answer("200 OK", JSON, &" ".repeat(LARGEST + 1)), "too large"),
            (format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 100\r\n\r\n{{}}"), "no answer"),
            (format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 100\r\n\r\n..."), "in time"),
            ("nothing of HTTP".to_owned(), "no answer"),
        ] {
            let error = fetched(bad.clone()).await.unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn nothing_tells_a_name_that_is_not_there_from_one_that_is_not_asked() {
        for url in ["https://10.0.0.1/c", "https://localhost:1/c", "https://nothing.invalid/c"] {
            assert_eq!(fetch(&url.parse().unwrap(), Reach::Public).await.unwrap_err(), NOT_THERE, "{url}");
        }
    }

    #[test]
    fn how_long_an_answer_may_be_kept() {
        for (said, expected) in [
            ("max-age=60", Some(60)),
            ("public, Max-Age=60", Some(60)),
            ("no-store, max-age=60", Some(0)),
            ("no-cache", Some(0)),
            ("private", None),
            ("max-age=x", None),
        ] {
            assert_eq!(max_age(said), expected, "{said}");
        }
    }
}
