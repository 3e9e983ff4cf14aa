//! Web pages that may use the gateway (Fetch standard, "CORS protocol").
//!
//! **Threat.** A browser sends what any page asks it to and hides the answer, unless the answer says that the page may see it.
//! What says so here is said to the pages that `Origin` is checked for anyway, one by one and never to all; and nothing that a
//! browser adds by itself, such as a cookie, is a credential here, so none is asked for.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::body::Reply;
use super::respond;

/// What a page may send.
const HEADERS: [&str; 9] = [
    "accept",
    "authorization",
    "content-type",
    "dpop",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];
/// And whatever begins like this: the parameters of a tool (specification 2026-07-28, "Standard headers").
const PARAMETERS: &str = "mcp-param-";
/// What a page may see besides the body.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("mcp-protocol-version, mcp-session-id, retry-after, www-authenticate");
const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, POST");
/// How long a browser need not ask again, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// A page's origin, which was checked to be one of those that may use the gateway.
pub(super) struct Page(HeaderValue);

impl Page {
    /// The page that a request comes from, if it comes from one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Page> {
        headers.get(header::ORIGIN).cloned().map(Page)
    }

    /// The answer to a browser that asks on its own account what the page may send. It is asked before there is a credential.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Reply>> {
        let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let mut response = respond::status(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
        if let Ok(allowed) = HeaderValue::from_str(&allowed(request.headers())) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        Some(response)
    }

    /// The same answer, for the page to see.
    pub(super) fn shown(self, mut response: Response<Reply>) -> Response<Reply> {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        response
    }
}

/// Of what the page wants to send, what it may.
fn allowed(asked: &HeaderMap) -> String {
    let asked = asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|value| value.to_str().ok());
    let names = asked.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let may = |name: &HeaderName| HEADERS.contains(&name.as_str()) || name.as_str().starts_with(PARAMETERS);
    let names: Vec<_> = names.filter(may).map(|name| name.as_str().to_owned()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preflight(method: Method, asks: bool, wanted: &[&str]) -> Option<String> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        if asks {
            request.headers_mut().insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        }
        for names in wanted {
            request.headers_mut().append(header::ACCESS_CONTROL_REQUEST_HEADERS, names.parse().unwrap());
        }
        let response = Page(HeaderValue::from_static("https://a.example")).preflight(&request)?;
        Some(response.headers().get(header::ACCESS_CONTROL_ALLOW_HEADERS)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_page_may_send_what_clients_send_and_nothing_else() {
        for (wanted, allowed) in [
            (&["authorization, Content-Type,mcp-session-id"][..], "authorization, content-type, mcp-session-id"),
            (&["x-forwarded-for, mcp-method", "cookie,host, mcp-param-city"], "mcp-method, mcp-param-city"),
            (&["*"], ""),
            (&["a b, , \u{7f}"], ""),
            (&[], ""),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|names| names.replace('\u{7f}', "?")).collect();
            let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
            assert_eq!(preflight(Method::OPTIONS, true, &wanted).as_deref(), Some(allowed), "{wanted:?}");
        }
        assert_eq!(preflight(Method::OPTIONS, false, &[]), None, "a plain OPTIONS is none of a browser's");
        assert_eq!(preflight(Method::POST, true, &[]), None);
    }
}
