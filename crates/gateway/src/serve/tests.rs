//! The whole gateway with a guard that panics.

use bartizan_guard::guards::LooksAt;
use bartizan_guard::{Event, Guard, GuardSpec, Pipeline, Report, Session, Settings};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::limiter::Limiter;
use crate::policy::Policy;

static BROKEN: GuardSpec = GuardSpec {
    name: "broken",
    threat: "none",
    rules: &[],
    actions: &[],
    skips: &[],
    looks_at: LooksAt::Else("Nothing."),
    sees_edited: true,
    raises: &[],
    options: bartizan_guard::guards::conformance::SPEC.options,
    build: |_, _| Ok(Box::new(Broken)),
};

struct Broken;

impl Guard for Broken {
    fn inspect(&self, event: &Event<'_>, _: &Session, _: &mut Report) {
        assert!(event.message.parts().all(|part| !part.text().contains("boom")), "provoked");
    }
}

/// Reads one HTTP message: its head and its body.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// A server that says what it is told, in two words if asked to.
async fn serve_one(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while let Some((_, body)) = read(&mut stream).await {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let result = match asked["method"].as_str() {
            Some("initialize") => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "one", "version": "1"}}),
            Some("tools/list") => json!({"tools": [{"name": "say", "inputSchema": {"type": "object"}}]}),
            _ => {
                let words: Vec<_> = asked["params"]["arguments"]["words"].as_array().into_iter().flatten().collect();
                let text: String = words.into_iter().filter_map(Value::as_str).collect();
                json!({"content": [{"type": "text", "text": text}]})
            }
        };
        let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string();
        let (status, answer) = if asked["id"].is_null() { ("202 Accepted", String::new()) } else { ("200 OK", answer) };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

struct Client {
    stream: BufReader<TcpStream>,
    session: String,
}

impl Client {
    async fn new(address: SocketAddr) -> Client {
        let mut client =
            Client { stream: BufReader::new(TcpStream::connect(address).await.unwrap()), session: String::new() };
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        client.ask("initialize", &params).await;
        client
    }

    async fn ask(&mut self, method: &str, params: &Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = format!(
            "POST /mcp/one HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.session,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = read(&mut self.stream).await.unwrap();
        let named = head.lines().find(|line| line.to_lowercase().starts_with("mcp-session-id:"));
        self.session = named.map_or_else(|| self.session.clone(), |line| format!("{line}\r\n"));
        serde_json::from_slice(&body).unwrap()
    }

    /// What the tool says to these words, and under which rule it was refused, if it was.
    async fn say(&mut self, words: &[&str]) -> (String, Option<String>) {
        let answer = self.ask("tools/call", &json!({"name": "say", "arguments": {"words": words}})).await;
        let result = &answer["result"];
        let rule = result["_meta"]["bartizan/rule"].as_str().map(ToOwned::to_owned);
        assert_eq!(result["isError"] == json!(true), rule.is_some(), "{answer}");
        (result["content"][0]["text"].as_str().unwrap_or_default().to_owned(), rule)
    }
}

#[tokio::test]
async fn a_guard_that_panics_refuses_one_message_and_the_gateway_goes_on() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = upstream.accept().await {
            tokio::spawn(serve_one(stream));
        }
    });
    let home = tempfile::tempdir().unwrap();
    let text =
        format!("[listen]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n[server.one]\nurl = '{url}'\n");
    let file = home.path().join("bartizan.toml");
    std::fs::write(&file, format!("[audit]\ndirectory = 'audit'\nencrypt = false\n{text}")).unwrap();
    let config = Config::load(&file).unwrap().0;
    let running = start(&config).await.unwrap();
    let policy = Policy {
        pipeline: Pipeline::new(Settings::default()).unwrap().with_guard(&BROKEN, Box::new(Broken)),
        limiter: Limiter::default(),
        credential_required: false,
        limits: config.limits.message,
        said: config.limits.server_messages,
        level: bartizan_audit::Level::Written,
        approval: Default::default(),
        layers: Default::default(),
        default_profile: String::new(),
        durable_if_sensitive: false,
    };
    running.gateway.policy.store(Arc::new(policy));

    let (mut one, mut other) = (Client::new(running.address).await, Client::new(running.address).await);
    let failed = Some("pipeline.guard_failed".to_owned());
    let large = "x".repeat(100_000);
    for _ in 0..3 {
        // On the way there, on the way back, and on another thread, where what is large is judged.
        assert_eq!(one.say(&["boom"]).await.1, failed);
        assert_eq!(one.say(&["bo", "om"]).await.1, failed);
        assert_eq!(one.say(&["boom", &large]).await.1, failed);
        for client in [&mut one, &mut other] {
            assert_eq!(client.say(&["bo", "at"]).await, ("boat".to_owned(), None));
            assert_eq!(client.say(&[&large]).await.1, None);
        }
    }
    running.stop().await;
    let refused = bartizan_audit::iter(&config.audit.directory).unwrap().map(Result::unwrap).filter(|record| {
        let entry = record.value();
        entry["decision"] == "deny" && entry["rule"] == "pipeline.guard_failed"
    });
    assert_eq!(refused.count(), 9, "each refusal is in the log");
    bartizan_audit::verify(&config.audit.directory, None).unwrap();
}

#[tokio::test]
async fn what_is_refused_without_a_message_is_counted_under_its_rule() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bartizan.toml");
    let text = "[audit]\ndirectory = 'audit'\nencrypt = false\n[listen]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                [server.one]\nurl = 'http://127.0.0.1:1/'\n";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap().0;
    let running = start(&config).await.unwrap();
    let local = "Host: localhost\r\nContent-Type: application/json";
    let requests = [
        ("edge.host", "POST /mcp/one", "Host: evil.example"),
        ("edge.origin", "POST /mcp/one", "Host: localhost\r\nOrigin: https://evil.example"),
        ("edge.path", "POST /mcp/none", local),
        ("edge.method", "PUT /mcp/one", local),
        ("edge.content_type", "POST /mcp/one", "Host: localhost\r\nContent-Type: text/plain"),
        ("edge.session", "GET /mcp/one", local),
        ("edge.event_id", "GET /mcp/one", "Host: localhost\r\nLast-Event-ID: a b"),
        ("edge.transfer_coding", "POST /mcp/one", "Host: localhost\r\nTransfer-Encoding: gzip, chunked"),
        ("edge.head", "no http at all", ""),
    ];
    for (rule, line, headers) in requests {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        assert!(answer.starts_with("HTTP/1.1 4"), "{rule}: {answer}");
    }
    running.stop().await;
    let mut counted: Vec<_> = bartizan_audit::iter(&config.audit.directory)
        .unwrap()
        .filter_map(|record| record.ok().filter(|record| record.kind == "edge.refused"))
        .flat_map(|record| record.value()["reasons"].as_array().unwrap().clone())
        .map(|reason| reason["rule"].as_str().unwrap().to_owned())
        .collect();
    counted.sort();
    let mut expected = requests.map(|(rule, ..)| rule);
    expected.sort_unstable();
    assert_eq!(counted, expected);
}
