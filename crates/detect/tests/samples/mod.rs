//! Samples of every format, made of their shapes: the same for the same seed.

use bartizan_detect::secrets::{Format, Piece, Scanner, Set, Shape};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A secret that opens nothing.
pub(crate) struct Sample {
    pub(crate) id: String,
    pub(crate) shape: String,
    pub(crate) text: String,
    /// What it is called where it is given a name.
    pub(crate) name: String,
    /// Whether it is found by that name only.
    pub(crate) needs_name: bool,
    /// Whether it goes over several lines.
    pub(crate) is_long: bool,
    pub(crate) is_checked: bool,
    /// Bytes of it that are not secret, such as the rest of a URL.
    pub(crate) around: usize,
}

/// Numbers that look drawn.
pub(crate) struct Drawn(u64);

impl Drawn {
    pub(crate) fn of(seed: u64, name: &str) -> Drawn {
        let mut drawn =
            Drawn(name.bytes().fold(seed ^ 0x9E37_79B9_7F4A_7C15, |all, byte| {
                (all ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            }));
        drawn.next();
        drawn
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    pub(crate) fn letters(&mut self, set: Set, count: usize) -> String {
        if set == Set::Uuid {
            let all = self.letters(Set::Hex, 32);
            let part = |from: usize, to: usize| all.get(from..to).unwrap();
            return format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32));
        }
        let letters: Vec<u8> = (33..127).filter(|byte| set.holds(*byte)).collect();
        // A sign at an end would not be taken for a part of it by anybody.
        let inner: Vec<u8> = letters.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let letter = |at: usize| if at == 0 || at + 1 == count { &inner } else { &letters };
        (0..count).map(|at| char::from(letter(at)[self.below(letter(at).len())])).collect()
    }
}

/// One sample of each shape of each format.
pub(crate) fn samples(scanner: &Scanner, seed: u64) -> Vec<Sample> {
    scanner.formats().iter().flat_map(|format| of(format, seed)).collect()
}

fn of(format: &Format, seed: u64) -> Vec<Sample> {
    let mut drawn = Drawn::of(seed, &format.id);
    if format.shapes.is_empty() {
        return vec![special(format, &mut drawn)];
    }
    format.shapes.iter().map(|shape| of_shape(format, shape, &mut drawn)).collect()
}

fn of_shape(format: &Format, shape: &Shape, drawn: &mut Drawn) -> Sample {
    let piece = |piece: Piece| match piece {
        Piece::Text(text) => text,
        Piece::Run(set, from, to) => {
            let length = from + drawn.below(to.min(from + 40) - from + 1);
            drawn.letters(set, length)
        }
    };
    let text: String = shape.pieces().map(piece).collect();
    let text = match format.check {
        Some(check) => check.right(&text).unwrap(),
        None => text,
    };
    let near = format.near.first().filter(|_| format.named.is_none());
    let named = match (&format.named, near) {
        (Some(name), _) => name.clone(),
        (None, Some(near)) => format!("{}_value", near.trim_matches(['=', '"', '_'])),
        (None, None) => "value".to_owned(),
    };
    let around = shape.written.find('{').filter(|_| !text.starts_with(char::is_alphanumeric)).unwrap_or_default();
    let text = match &*format.id {
        "azure_sas" => format!("sv=2024-01-01&se=2027-01-01&{text}"),
        "jwk" => format!("{{\"kty\":\"EC\",{text}}}"),
        _ => text,
    };
    let around = around
        + match &*format.id {
            "azure_sas" => 28,
            "jwk" => 14,
            _ => 0,
        };
    let name = if format.id == "wireguard" { "[Interface]\nPrivateKey".to_owned() } else { named };
    let needs_name = format.named.is_some() || near.is_some();
    Sample {
        id: format.id.clone(),
        shape: shape.written.clone(),
        text,
        name,
        needs_name,
        is_long: matches!(&*format.id, "jwk" | "wireguard"),
        is_checked: format.check.is_some(),
        around,
    }
}

/// Base64 in lines.
fn lines(drawn: &mut Drawn, count: usize) -> String {
    (0..count).map(|_| drawn.letters(Set::Base64, 64) + "\n").collect()
}

fn special(format: &Format, drawn: &mut Drawn) -> Sample {
    let password = |drawn: &mut Drawn| drawn.letters(Set::Alnum, 4) + "7" + &drawn.letters(Set::Alnum, 7) + "x";
    let (text, name, needs_name, is_long, around) = match &*format.id {
        "pem" => {
            let kinds = [
                "RSA PRIVATE KEY",
                "PRIVATE KEY",
                "EC PRIVATE KEY",
                "OPENSSH PRIVATE KEY",
                "ENCRYPTED PRIVATE KEY",
                "DSA PRIVATE KEY",
            ];
            let kind = kinds[drawn.below(kinds.len())];
            (format!("-----BEGIN {kind}-----\n{}-----END {kind}-----", lines(drawn, 8)), "key", false, true, 0)
        }
        "pgp" => (
            format!(
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{}=Ab3x\n-----END PGP PRIVATE KEY BLOCK-----",
                lines(drawn, 8)
            ),
            "key",
            false,
            true,
            0,
        ),
        "putty" => {
            let head = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: work\nPublic-Lines: 2\n";
            let (public, private) = (lines(drawn, 2), lines(drawn, 1));
            (
                format!("{head}{public}Private-Lines: 1\n{private}Private-MAC: {}", drawn.letters(Set::Hex, 64)),
                "key",
                false,
                true,
                0,
            )
        }
        "jwt" => {
            let head = URL_SAFE_NO_PAD.encode("{\"alg\":\"RS256\",\"typ\":\"JWT\"}");
            let claims =
                URL_SAFE_NO_PAD.encode(format!("{{\"sub\":\"{}\",\"exp\":1790000000}}", drawn.letters(Set::Alnum, 12)));
            (format!("{head}.{claims}.{}", drawn.letters(Set::Url, 86)), "value", false, false, 0)
        }
        "url" => (format!("postgres://app:{}@db.internal:5432/shop", password(drawn)), "dsn", false, false, 37),
        "ado" => {
            (format!("Server=db1;Database=shop;User Id=app;Password={};", password(drawn)), "dsn", false, false, 47)
        }
        "bearer" => (format!("Bearer {}", drawn.letters(Set::Alnum, 40)), "Authorization", false, false, 7),
        "basic" => {
            (format!("Basic {}", STANDARD.encode(format!("app:{}", password(drawn)))), "Authorization", false, false, 6)
        }
        "password" => (password(drawn), "DB_PASSWORD", true, false, 0),
        "key" => (drawn.letters(Set::Alnum, 30) + "7", "PAYROLL_API_KEY", true, false, 0),
        other => panic!("no samples of {other}"),
    };
    Sample {
        id: format.id.clone(),
        shape: format.id.clone(),
        text,
        name: name.to_owned(),
        needs_name,
        is_long,
        is_checked: false,
        around,
    }
}
