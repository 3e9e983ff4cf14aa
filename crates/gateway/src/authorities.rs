//! Variables by which programs are told whom to trust.

/// Those that name the file in which all authorities are that a program trusts.
pub(crate) const WHOLE: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
];
/// Those that name a file of authorities beside those that a program trusts anyway.
pub(crate) const FURTHER: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT"];
/// That of a directory with a file for each.
const DIRECTORY: &str = "SSL_CERT_DIR";

/// All of them.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    WHOLE.iter().chain(FURTHER).copied().chain([DIRECTORY])
}
