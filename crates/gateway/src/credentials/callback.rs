//! The page on this machine to which an authorization server sends the browser back, once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::LoginError;
use super::grant;

/// How long one visitor may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Visitors at a time.
const VISITORS: usize = 8;

/// What the browser brings.
pub(super) struct Brought {
    pub(super) code: Result<Zeroizing<String>, String>,
    pub(super) issuer: Option<String>,
}

/// Waits there for the browser.
pub(super) struct Callback {
    listener: TcpListener,
    address: SocketAddr,
}

impl Callback {
    /// On a port that is free.
    pub(super) async fn open() -> Result<Callback, LoginError> {
        let failed = |error: std::io::Error| LoginError::Ours(format!("cannot wait for the browser: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Callback { listener, address })
    }

    /// Where it has to be sent.
    pub(super) fn url(&self) -> String {
        format!("http://{}/callback", self.address)
    }

    /// What the first visitor brings who knows `state`. Others learn nothing, and it is good for that one.
    pub(super) async fn wait(self, state: String, patience: Duration) -> Result<Brought, LoginError> {
        let (found, mut came) = mpsc::channel(1);
        let (state, host) = (Arc::new(state), Arc::new(self.address.to_string()));
        let visitors = Arc::new(tokio::sync::Semaphore::new(VISITORS));
        let serve = async {
            loop {
                let Ok(place) = Arc::clone(&visitors).acquire_owned().await else { return };
                let Ok((stream, _)) = self.listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let (state, host, found) = (Arc::clone(&state), Arc::clone(&host), found.clone());
                tokio::spawn(async move {
                    let _place = place;
                    let service = service_fn(move |request| {
                        let answer = answer(&request, &state, &host, &found);
                        std::future::ready(Ok::<_, Infallible>(answer))
                    });
                    let mut http = hyper::server::conn::http1::Builder::new();
                    let connection = http.keep_alive(false).max_buf_size(16 * 1024);
                    let connection = connection.serve_connection(TokioIo::new(stream), service);
                    tokio::time::timeout(PATIENCE, connection).await.ok();
                });
            }
        };
        let brought = tokio::select! {
            brought = came.recv() => brought,
            () = serve => None,
            () = tokio::time::sleep(patience) => None,
        };
        let brought = brought.ok_or(LoginError::TimedOut)?;
        // So that the browser has the page before the program ends.
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(brought)
    }
}

fn answer(
    request: &Request<Incoming>,
    state: &str,
    host: &str,
    found: &mpsc::Sender<Brought>,
) -> Response<Full<Bytes>> {
    // By another name it is a page of somebody else's that has the browser ask here.
    let named = request.headers().get(header::HOST).is_some_and(|named| named.as_bytes() == host.as_bytes());
    if !named || request.method() != Method::GET || request.uri().path() != "/callback" {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    match brought(request.uri().query().unwrap_or_default(), state).map(|brought| found.try_send(brought)) {
        Some(Ok(())) => page(StatusCode::OK, "Thank you. The rest is in the terminal; this page can be closed."),
        _ => page(StatusCode::BAD_REQUEST, "This is not the answer that is waited for."),
    }
}

/// What a query brings that has this state, and every parameter once.
fn brought(query: &str, state: &str) -> Option<Brought> {
    let mut values = std::collections::HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if values.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    if values.get("state").map(String::as_str) != Some(state) {
        return None;
    }
    let issuer = values.remove("iss");
    let code = match (values.remove("code"), values.remove("error")) {
        (Some(code), None) => Ok(Zeroizing::new(code)),
        (None, Some(error)) => Err(grant::code(&error).to_owned()),
        _ => return None,
    };
    Some(Brought { code, issuer })
}

fn page(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_state_and_each_parameter_once() {
        for (query, expected) in [
            ("code=c&state=s", Some((Ok("c"), None))),
            ("code=c&state=s&iss=https%3A%2F%2Fi", Some((Ok("c"), Some("https://i")))),
            ("error=access_denied&state=s", Some((Err("access_denied"), None))),
            ("error=%3Cb%3EBAD&state=s", Some((Err("an error"), None))),
            ("code=c&state=t", None),
            ("code=c", None),
            ("code=c&code=d&state=s", None),
            ("code=c&state=s&state=s", None),
            ("code=c&error=e&state=s", None),
            ("state=s", None),
            ("", None),
        ] {
            let found = brought(query, "s");
            let found = found.as_ref().map(|found| {
                let code = found.code.as_ref().map(|code| code.as_str()).map_err(String::as_str);
                (code, found.issuer.as_deref())
            });
            assert_eq!(found, expected, "{query}");
        }
    }
}
