//! A server has no more processes than it has places, the one with which a program in doubt is tried included.
//!
//! Here because a process needs the launcher, which is the program.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::Config;
use bartizan_gateway::{Gateway, Routing, Server, setup};
use bartizan_guard::Principal;
use bartizan_mcp::Limits;
use tokio::sync::OwnedSemaphorePermit;

/// Notes its process id, and crashes unless a file says that it is mended; then it answers once it may.
const PROGRAM: &str = r#"echo $$ >> pids; test -e mended || exit 1
    while ! test -e go; do sleep 0.05; done
    read -r line; echo '{"jsonrpc":"2.0","id":0,"result":{}}'; cat >/dev/null"#;

/// A server with room for one process, in doubt as its program has crashed again and again.
async fn in_doubt(home: &Path) -> (Arc<Gateway>, Arc<Server>, OwnedSemaphorePermit) {
    let file = home.join("bartizan.toml");
    let command = serde_json::to_string(&["sh", "-c", PROGRAM]).unwrap();
    let text = format!(
        "[audit]\ndirectory = 'audit'\n[server.one]\ncwd = 'work'\ncommand = {command}\nsandbox.fs.rw = ['work']\n"
    );
    std::fs::create_dir(home.join("work")).unwrap();
    std::fs::write(&file, text).unwrap();
    bartizan_sandbox::set_init_program(env!("CARGO_BIN_EXE_bartizan"));
    let config = Config::load(&file).unwrap().0;
    let gateway = setup::gateway(&config).unwrap();
    let server = setup::servers(&config, &gateway, home).unwrap().remove("one").unwrap();
    let all_but_one = u32::try_from(server.processes.available_permits() - 1).unwrap();
    let others = Arc::clone(&server.processes).acquire_many_owned(all_but_one).await.unwrap();
    for _ in 0..5 {
        let crashed =
            server.connect(&gateway, &Principal::anonymous(), Routing::ByRequest, Limits::default()).await.unwrap();
        while !crashed.has_ended() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(crashed);
        freed(&server).await;
    }
    std::fs::write(home.join("work/mended"), "").unwrap();
    (gateway, server, others)
}

async fn freed(server: &Server) {
    while server.processes.available_permits() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn started(home: &Path) -> usize {
    std::fs::read_to_string(home.join("work/pids")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn the_process_that_tries_a_program_takes_a_place_of_its_server() {
    let home = tempfile::tempdir().unwrap();
    let (gateway, server, others) = in_doubt(home.path()).await;
    let before = started(home.path());
    let connecting = {
        let (gateway, server) = (Arc::clone(&gateway), Arc::clone(&server));
        tokio::spawn(async move {
            server.connect(&gateway, &Principal::anonymous(), Routing::ByRequest, Limits::default()).await
        })
    };
    while started(home.path()) == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.processes.available_permits(), 0, "it is tried in the one place that there is");
    std::fs::write(home.path().join("work/go"), "").unwrap();
    let upstream = connecting.await.unwrap().unwrap();
    // Its own process is in the place in which the program was tried.
    while started(home.path()) < before + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((started(home.path()), server.processes.available_permits()), (before + 2, 0));
    upstream.end().await;
    drop(upstream);
    freed(&server).await;
    let places = others.num_permits();
    drop(others);
    assert_eq!(server.processes.available_permits(), places + 1);
}

#[tokio::test]
async fn without_a_place_no_program_is_tried() {
    let home = tempfile::tempdir().unwrap();
    let (gateway, server, _others) = in_doubt(home.path()).await;
    std::fs::write(home.path().join("work/go"), "").unwrap();
    let before = started(home.path());
    let last = Arc::clone(&server.processes).acquire_owned().await.unwrap();
    let full = server.connect(&gateway, &Principal::anonymous(), Routing::ByRequest, Limits::default()).await;
    assert!(full.unwrap_err().to_string().contains("as many clients have a process of this server as may"));
    assert_eq!(started(home.path()), before);
    // Nothing was found out, so the program is not left alone for it.
    drop(last);
    assert!(server.connect(&gateway, &Principal::anonymous(), Routing::ByRequest, Limits::default()).await.is_ok());
}
