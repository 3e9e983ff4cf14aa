//! Passes over plain text many bytes at a time.

/// Bytes looked at together; the loop over them becomes vector instructions.
const STRIDE: usize = 64;

/// Whether no byte asks for a closer look by [`find`](super::find).
pub(crate) fn plain(bytes: &[u8]) -> bool {
    next(bytes, 0, |byte| closer(byte) | (byte == b'<')) == bytes.len()
}

/// The first byte from `at` on that is, or begins, something else than a visible ASCII character or white space.
pub(crate) fn next_character(bytes: &[u8], at: usize) -> usize {
    next(bytes, at, closer)
}

/// Written without branches, which a vector instruction could not follow.
fn closer(byte: u8) -> bool {
    let printable = (0x20..0x7f).contains(&byte);
    // A form feed ends a page in text taken from documents; it hides nothing.
    !printable & (byte != b'\n') & (byte != b'\t') & (byte != 0x0c)
}

fn next(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    let mut at = bytes.len() - rest.len();
    while let Some((stride, after)) = rest.split_first_chunk::<STRIDE>() {
        if stride.iter().fold(false, |any, &byte| any | wanted(byte)) {
            break;
        }
        rest = after;
        at += STRIDE;
    }
    at + rest.iter().position(|&byte| wanted(byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_the_first_byte_that_matters() {
        for special in [0u8, 7, 8, 0x0d, 0x1b, 0x7f, 0x80, 0xff] {
            for at in [0, 1, 63, 64, 65, 127, 200, 299] {
                let mut bytes = vec![b'a'; 300];
                bytes[at] = special;
                assert_eq!(next_character(&bytes, 0), at, "{special:#x}");
                assert!(!plain(&bytes));
            }
        }
        let text = "\tplain text,\nwith {\"json\": [1, 2]} in it\u{c}\n".repeat(10);
        assert!(plain(text.as_bytes()));
        assert_eq!(next_character(text.as_bytes(), 5), text.len());
        assert_eq!(next_character(b"", 3), 0);
    }
}
