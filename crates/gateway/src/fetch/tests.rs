use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one request with these bytes; where that is, and what was asked.
async fn answering(bytes: Vec<u8>) -> (Uri, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/doc", listener.local_addr().unwrap()).parse().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let read = stream.read(&mut asked).await.unwrap();
        stream.write_all(&bytes).await.ok();
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    (uri, task)
}

#[tokio::test]
async fn a_document_is_what_comes_back_and_a_redirection_is_not_followed() {
    for (status, body) in [("200 OK", "{}"), ("404 Not Found", "no"), ("302 Found", "")] {
        let head =
            format!("HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: {}\r\n\r\n", body.len());
        let (uri, asked) = answering(format!("{head}{body}").into_bytes()).await;
        let fetched = get(&uri, &Reach::Machine.into()).await.unwrap();
        assert!(status.starts_with(fetched.status.as_str()) && fetched.body == body);
        assert!(asked.await.unwrap().starts_with("GET /doc HTTP/1.1\r\n"));
    }
    let (uri, asked) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let authorization = HeaderValue::from_static("Basic eDp5");
    let form = Form { kind: "application/x-www-form-urlencoded", body: "a=b", authorization: Some(&authorization) };
    post(&uri, form, &Reach::Machine.into()).await.unwrap();
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /doc") && asked.contains("Basic eDp5") && asked.ends_with("a=b"), "{asked}");
}

#[tokio::test]
async fn size_and_time_are_bounded() {
    let mut large = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    large.resize(MAX_BYTES + 1000, b' ');
    let (uri, _asked) = answering(large).await;
    assert_eq!(get(&uri, &Reach::Machine.into()).await.err(), Some(FetchError::TooLarge(shown(&uri))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::time::pause();
    assert_eq!(get(&uri, &Reach::Machine.into()).await.err(), Some(FetchError::TimedOut(shown(&uri))));
}

#[tokio::test]
async fn nobody_is_sent_where_they_may_not_be() {
    let url = |text: &str| FetchError::Url(text.to_owned());
    let address = |text: &str| FetchError::Address(text.to_owned());
    for (uri, reach, expected) in [
        ("http://example.com/", Reach::Machine, url("http://example.com/")),
        ("http://127.0.0.1:1/", Reach::Private, url("http://127.0.0.1:1/")),
        ("https://me:secret@example.com/", Reach::Machine, url("https://example.com/")),
        ("ftp://example.com/", Reach::Machine, url("ftp://example.com/")),
        ("https://127.0.0.1:1/", Reach::Private, address("https://127.0.0.1:1/")),
        ("https://[::1]:1/", Reach::Public, address("https://[::1]:1/")),
        ("https://10.0.0.1/x?secret", Reach::Public, address("https://10.0.0.1/x")),
        ("https://169.254.169.254/", Reach::Machine, address("https://169.254.169.254/")),
        ("https://metadata.google.internal/", Reach::Machine, address("https://metadata.google.internal/")),
        ("https://100.100.100.200/", Reach::Private, address("https://100.100.100.200/")),
        // Forms in which only some read an address.
        ("https://0x7f.1/", Reach::Machine, url("https://0x7f.1/")),
        ("https://2130706433/", Reach::Machine, url("https://2130706433/")),
        ("http://127.1/", Reach::Machine, url("http://127.1/")),
        // A name leads there as little.
        ("https://localhost:1/", Reach::Private, address("https://localhost:1/")),
    ] {
        if uri.starts_with("https") && !cfg!(feature = "tls") {
            continue;
        }
        assert_eq!(get(&uri.parse().unwrap(), &reach.into()).await.err(), Some(expected), "{uri} {reach:?}");
    }
    for (uri, expected) in [
        ("http://127.0.0.1:1/mcp", Reach::Machine),
        ("https://10.0.0.1/", Reach::Private),
        ("https://1.1.1.1/", Reach::Public),
    ] {
        assert_eq!(Spot::of(&uri.parse().unwrap()).await.reach(), expected);
    }
}

#[tokio::test]
async fn what_was_looked_up_is_asked_there_and_nowhere_else() {
    let (uri, asked) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let name: Uri = format!("http://localhost:{}/doc", uri.port_u16().unwrap()).parse().unwrap();
    let at = |address: &str| Way::from(Reach::Machine).knowing(Spot::at("LOCALHOST", &[address]));
    // Nobody answers there, whatever the name says now.
    assert!(matches!(get(&name, &at("127.0.0.2")).await.err(), Some(FetchError::Unreachable(..))));
    assert_eq!(get(&name, &at("127.0.0.1")).await.unwrap().status, StatusCode::OK);
    assert!(asked.await.unwrap().starts_with("GET /doc"));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_name_that_is_public_too_leads_to_nothing_on_this_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let way = |addresses: &[&str]| {
        let spot = Spot::at("a.example", addresses);
        Way::from(spot.reach()).knowing(spot)
    };
    let accepted = || tokio::time::timeout(Duration::from_secs(1), listener.accept());
    let both = way(&["127.0.0.1", "8.8.8.8"]);
    for (host, way) in [("localhost", &both), ("a.example", &way(&["127.0.0.1"]).within(Reach::Public))] {
        let uri: Uri = format!("https://{host}:{port}/").parse().unwrap();
        assert_eq!(get(&uri, way).await.err(), Some(FetchError::Address(shown(&uri))), "{host}");
    }
    assert!(accepted().await.is_err(), "somebody has come");
    // One that is here alone may.
    let here = way(&["127.0.0.1"]);
    let uri: Uri = format!("https://a.example:{port}/").parse().unwrap();
    let (came, answer) = tokio::join!(
        async {
            let stream = accepted().await.expect("nobody has come").unwrap();
            drop(stream);
        },
        get(&uri, &here)
    );
    assert_eq!((came, answer.is_err()), ((), true));
}
