//! In the place of `tls.rs` without the feature of that name. Configurations with a certificate are refused; whatever brings
//! one here nevertheless is not listened to unencrypted.

use std::io;
use std::net::IpAddr;

use bartizan_config::Tls;
use tokio::net::TcpStream;

use crate::identity::Certificate;

pub(super) type Stream = TcpStream;

#[derive(Debug)]
pub(crate) enum Ready {}

#[derive(Debug)]
pub(crate) enum Secure {}

impl Ready {
    pub(crate) fn read(_: &Tls) -> Result<Ready, String> {
        Err("this bartizan is built without TLS".to_owned())
    }

    pub(crate) fn doubts(&self, _: Option<&http::Uri>) -> Vec<String> {
        match *self {}
    }
}

impl Secure {
    #[expect(clippy::needless_pass_by_value, reason = "with TLS it is kept")]
    pub(crate) fn new(ready: Ready) -> Secure {
        match ready {}
    }

    #[expect(clippy::needless_pass_by_value, reason = "with TLS it is kept")]
    pub(crate) fn put(&self, ready: Ready) {
        match ready {}
    }

    pub(crate) fn look(&self) -> Option<Result<(), String>> {
        match *self {}
    }

    pub(crate) fn refuses(&self, _: &Ready) -> Option<String> {
        match *self {}
    }

    pub(crate) fn days_left(&self) -> i64 {
        match *self {}
    }

    pub(crate) fn is_behind(&self) -> bool {
        match *self {}
    }

    pub(super) fn shown(&self, _: &Stream) -> Option<Certificate> {
        match *self {}
    }

    pub(super) async fn accept(&self, _: TcpStream, _: IpAddr) -> io::Result<Option<Stream>> {
        match *self {}
    }
}
