//! Tokens that are for all clients.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bartizan_guard::Principal;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;

use crate::stamp::Stamp;
use crate::upstream::{Credential, UpstreamError};

/// One that stays the same.
pub(super) struct Fixed(Option<HeaderValue>);

impl Fixed {
    pub(super) fn new(token: &str) -> Fixed {
        Fixed(bartizan_config::bearer(token))
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed")
    }
}

impl Credential for Fixed {
    fn header<'a>(
        &'a self,
        _: &'a Principal,
        refused: Option<&'a HeaderValue>,
    ) -> BoxFuture<'a, Result<HeaderValue, UpstreamError>> {
        let header = match (&self.0, refused) {
            (Some(header), None) => Ok(header.clone()),
            (_, Some(_)) => Err(UpstreamError::Status(401)),
            (None, _) => Err(UpstreamError::Credential("the token cannot be sent".to_owned())),
        };
        std::future::ready(header).boxed()
    }

    fn is_personal(&self) -> bool {
        false
    }
}

/// One in a file, which may change.
pub(super) struct FromFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, HeaderValue)>>,
}

impl FromFile {
    pub(super) fn new(path: PathBuf) -> FromFile {
        FromFile { path, read: Mutex::default() }
    }

    fn current(&self) -> Result<HeaderValue, UpstreamError> {
        let unreadable = |why: String| {
            let path = self.path.display();
            UpstreamError::Credential(format!("cannot read {path}: {why}"))
        };
        let stamp = Stamp::of([&*self.path]);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, header)) = &*read
            && *at == stamp
            && stamp.is_whole()
        {
            return Ok(header.clone());
        }
        let (token, _) = bartizan_config::read_secret(&self.path).map_err(unreadable)?;
        let header = bartizan_config::bearer(&token).filter(|_| !token.is_empty());
        let header = header.ok_or_else(|| unreadable("it holds no token".to_owned()))?;
        *read = Some((stamp, header.clone()));
        Ok(header)
    }
}

impl fmt::Debug for FromFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Credential for FromFile {
    fn header<'a>(
        &'a self,
        _: &'a Principal,
        refused: Option<&'a HeaderValue>,
    ) -> BoxFuture<'a, Result<HeaderValue, UpstreamError>> {
        // It may have been replaced between the look at it and the answer; the same one is not worth another try.
        let header = self.current().and_then(|header| match refused {
            Some(refused) if *refused == header => Err(UpstreamError::Status(401)),
            _ => Ok(header),
        });
        std::future::ready(header).boxed()
    }

    fn is_personal(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let (who, file) = (Principal::anonymous(), FromFile::new(path.clone()));
        let header = async |refused: Option<&HeaderValue>| file.header(&who, refused).await;
        assert!(matches!(header(None).await, Err(UpstreamError::Credential(_))));
        std::fs::write(&path, "first\n").unwrap();
        let first = header(None).await.unwrap();
        assert_eq!((first.as_bytes(), first.is_sensitive()), (&b"Bearer first"[..], true));
        assert_eq!(header(Some(&first)).await, Err(UpstreamError::Status(401)));
        std::fs::write(&path, "the second").unwrap();
        assert_eq!(header(Some(&first)).await.unwrap(), "Bearer the second");
        std::fs::write(&path, "").unwrap();
        assert!(header(None).await.is_err());
        assert!(!format!("{file:?}").contains("second"));
    }
}
