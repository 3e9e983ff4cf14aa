//! What somebody sees of themselves.

use askama::Template;
use http::StatusCode;

use super::page::page;
use super::visit::Visit;
use super::{Answer, Web};

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    csrf: &'a str,
    person: &'a str,
}

impl Web {
    pub(super) async fn show_account(&self, visit: &Visit) -> Answer {
        let Some(signed_in) = self.signed_in(visit).await? else { return self.to_sign_in("/bartizan/account") };
        page(StatusCode::OK, &Page { csrf: &signed_in.csrf, person: &signed_in.person })
    }
}
