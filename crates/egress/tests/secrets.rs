//! Secrets: a host gets the value, the server never has it, and nobody else gets anything but a placeholder.
#![cfg(test)]

mod common;

use std::sync::Arc;

use bartizan_egress::{Reason, RequestRule, Secret, What};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Authority, Host, With, World, here};
use hyper::{Method, header};
use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroizing;

const VALUE: &str = "real-value-0123456789";

fn secret() -> Secret {
    Secret::new("token", "api.example", header::AUTHORIZATION, Zeroizing::new(VALUE.to_owned())).unwrap()
}

/// A proxy that holds a secret for one of two hosts, which are the same, and the placeholder.
async fn world() -> (World, Host, String, Authority) {
    let authority = Authority::new();
    let host = Host::http(Some(authority.server(&["api.example", "other.example"]))).await;
    let secret = secret();
    let placeholder = secret.placeholder().to_owned();
    let rules = [here("api.example", host.port), here("other.example", host.port)];
    let world = With { secrets: vec![secret], tls: authority.client(), ..With::rules(rules) }.world();
    for name in ["api.example", "other.example"] {
        world.names.lead(name, &[&["127.0.0.1"]]);
    }
    (world, host, placeholder, authority)
}

#[tokio::test]
async fn the_value_goes_to_its_host_in_its_header() {
    let (world, host, held, authority) = world().await;
    let target = format!("api.example:{}", host.port);
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for (name, sent, came) in [
        ("authorization", format!("Bearer {held}"), format!("Bearer {VALUE}")),
        ("authorization", basic(&format!("me:{held}")), basic(&format!("me:{VALUE}"))),
        ("x-token", held.clone(), held.clone()),
        ("authorization", "Bearer own".to_owned(), "Bearer own".to_owned()),
    ] {
        let stream = world.tls(&target, "api.example", world.trust()).await.unwrap();
        let body = format!("token={held}");
        let request = format!(
            "POST /x HTTP/1.1\r\nhost: {target}\r\n{name}: {sent}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = common::ask(stream, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let asked = host.asked().pop().unwrap();
        assert!(asked.contains(&format!("{name}: {came}\n")) && asked.ends_with(&body), "{asked}");
    }
    let requests = world.log.of(What::Request);
    let names: Vec<_> =
        requests.iter().map(|event| (event.secrets.len(), event.kept.len(), event.terminated)).collect();
    assert_eq!(names, [(1, 0, true), (1, 0, true), (0, 1, true), (0, 0, true)]);
    assert_eq!(requests[0].secrets, [Arc::from("token")]);
    assert!(world.log.wait(What::Closed, 4).await.iter().all(|event| event.terminated));
    let shown = format!("{:?} {:?}", world.log.all(), world.egress);
    assert!(!shown.contains(VALUE) && !shown.contains(&held), "{shown}");
    // The host's own certificate is not what is shown inside, and the proxy's is trusted nowhere else.
    assert!(world.tls(&target, "api.example", authority.client()).await.is_err());
    let other = With::default().world();
    assert!(world.tls(&target, "api.example", other.trust()).await.is_err());
}

#[tokio::test]
async fn elsewhere_a_placeholder_stays_one() {
    let (world, host, held, authority) = world().await;
    let target = format!("other.example:{}", host.port);
    let stream = world.tls(&target, "other.example", authority.client()).await.unwrap();
    let request =
        format!("GET / HTTP/1.1\r\nhost: {target}\r\nauthorization: Bearer {held}\r\nconnection: close\r\n\r\n");
    assert!(common::ask(stream, &request).await.contains(&held), "what is not ended here passes as it is");
    // The other host behind the first one's name, in every way there is to say so.
    let here = format!("api.example:{}", host.port);
    for request in [
        request.clone(),
        format!(
            "GET https://{target}/ HTTP/1.1\r\nhost: {here}\r\nauthorization: Bearer {held}\r\nconnection: close\r\n\r\n"
        ),
        format!(
            "GET / HTTP/1.1\r\nhost: {here}\r\nhost: {target}\r\nauthorization: Bearer {held}\r\nconnection: close\r\n\r\n"
        ),
        format!("TRACE / HTTP/1.1\r\nhost: {here}\r\nauthorization: Bearer {held}\r\nconnection: close\r\n\r\n"),
    ] {
        let asked = host.asked().len();
        let stream = world.tls(&here, "api.example", world.trust()).await.unwrap();
        let said = common::ask(stream, &request).await;
        assert!(said.starts_with("HTTP/1.1 40") && !said.contains(VALUE) && host.asked().len() == asked, "{said}");
    }
    assert!(world.tls(&here, "other.example", world.trust()).await.is_err());
    assert!(!host.asked().concat().contains(VALUE));
}

#[tokio::test]
async fn unencrypted_a_placeholder_stays_one_and_is_reported() {
    let host = Host::http(None).await;
    let secret = secret();
    let held = secret.placeholder().to_owned();
    let world = With { secrets: vec![secret], ..With::rules([here("api.example", host.port)]) }.world();
    world.names.lead("api.example", &[&["127.0.0.1"]]);
    let a = format!("api.example:{}", host.port);
    let headers = format!("host: {a}\r\nauthorization: Bearer {held}\r\nconnection: close\r\n\r\n");
    let proxied = world.say(format!("GET http://{a}/?{held} HTTP/1.1\r\n{headers}")).await;
    let tunnelled = common::ask(world.tunnel(&a).await.unwrap(), &format!("GET / HTTP/1.1\r\n{headers}")).await;
    for said in [proxied, tunnelled] {
        assert!(said.contains(&format!("authorization: Bearer {held}")) && !said.contains(VALUE), "{said}");
    }
    let kept: Vec<_> = world.log.of(What::Request).into_iter().map(|event| (event.secrets.len(), event.kept)).collect();
    assert_eq!(kept, [(0, vec![Arc::from("token")]), (0, vec![Arc::from("token")])]);
}

#[tokio::test]
async fn a_value_is_not_given_to_a_host_that_only_calls_itself_so() {
    let (real, false_one) = (Authority::new(), Authority::new());
    for (server, tls) in [
        // Signed by somebody who is not trusted, and for another name.
        (false_one.server(&["api.example"]), real.client()),
        (real.server(&["other.example"]), real.client()),
    ] {
        let host = Host::http(Some(server)).await;
        let secret = secret();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: api.example:{}\r\nauthorization: {}\r\n\r\n",
            host.port,
            secret.placeholder()
        );
        let world = With { secrets: vec![secret], tls, ..With::rules([here("api.example", host.port)]) }.world();
        world.names.lead("api.example", &[&["127.0.0.1"]]);
        let stream = world.tls(&format!("api.example:{}", host.port), "api.example", world.trust()).await.unwrap();
        assert_eq!(common::ask(stream, &request).await, "");
        assert_eq!(world.log.refused(), [Reason::Handshake]);
        assert_eq!(world.log.of(What::Request), []);
        assert!(host.asked().iter().all(|asked| asked == "no handshake"));
    }
}

#[tokio::test]
async fn tls_is_ended_where_only_some_requests_are_allowed_and_nowhere_else() {
    let authority = Authority::new();
    let host = Host::http(Some(authority.server(&["api.example", "other.example"]))).await;
    let narrow = here("api.example", host.port).requests([RequestRule::new([Method::GET], "/open").unwrap()]);
    let world = With { tls: authority.client(), ..With::rules([narrow, here("other.example", host.port)]) }.world();
    world.names.lead("api.example", &[&["127.0.0.1"]]);
    world.names.lead("other.example", &[&["127.0.0.1"]]);
    let target = format!("api.example:{}", host.port);
    for (path, expected) in [("/open/x", "200 OK"), ("/closed", "egress.request")] {
        let stream = world.tls(&target, "api.example", world.trust()).await.unwrap();
        let said =
            common::ask(stream, &format!("GET {path} HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\n\r\n")).await;
        assert!(said.contains(expected), "{path}: {said}");
    }
    assert_eq!(host.asked().iter().filter(|asked| asked.starts_with("GET")).count(), 1);
    world.tls(&format!("other.example:{}", host.port), "other.example", authority.client()).await.unwrap();
}

#[tokio::test]
async fn several_requests_share_a_connection_and_each_has_its_secret() {
    let (world, host, held, _) = world().await;
    let target = format!("api.example:{}", host.port);
    let stream = world.tls(&target, "api.example", world.trust()).await.unwrap();
    let one = |close: &str| format!("GET / HTTP/1.1\r\nhost: {target}\r\nauthorization: {held}\r\n{close}\r\n");
    let said = common::ask(stream, &[one(""), one(""), one("connection: close\r\n")].concat()).await;
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 3, "{said}");
    assert_eq!(host.asked().iter().filter(|asked| asked.contains(VALUE)).count(), 3);
    assert_eq!((world.log.of(What::Opened).len(), world.log.of(What::Request).len()), (1, 3));
}

#[tokio::test]
async fn another_value_stands_in_the_next_request_of_an_open_connection() {
    let (world, host, held, _) = world().await;
    let target = format!("api.example:{}", host.port);
    let mut stream = world.tls(&target, "api.example", world.trust()).await.unwrap();
    let one = |close: &str| format!("GET / HTTP/1.1\r\nhost: {target}\r\nauthorization: {held}\r\n{close}\r\n");
    stream.write_all(one("").as_bytes()).await.unwrap();
    world.log.wait(What::Request, 1).await;
    let value = Zeroizing::new("rotated-value".to_owned());
    world.egress.replace_secrets(&[Secret::new("token", "api.example", header::AUTHORIZATION, value).unwrap()]);
    let said = common::ask(stream, &one("connection: close\r\n")).await;
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
    let asked = host.asked().concat();
    assert!(asked.contains(VALUE) && asked.contains("rotated-value") && !asked.contains(&held), "{asked}");
    world.egress.replace_secrets(&[]);
    let stream = world.tls(&target, "api.example", world.trust()).await;
    assert!(stream.is_err(), "TLS to it is not ended any more, and what it shows is its own certificate");
}
