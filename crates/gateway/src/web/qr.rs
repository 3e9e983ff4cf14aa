//! A text as a picture that telephones read: QR code, as the path of an SVG.

use std::fmt::Write as _;

use qrcode::{Color, QrCode};

use super::trouble::Trouble;

/// What readers want to be empty around it.
const MARGIN: usize = 4;

/// How wide the picture is, and its path.
pub(super) fn path(text: &str) -> Result<(usize, String), Trouble> {
    let code = QrCode::new(text.as_bytes()).map_err(|_| Trouble::Failed)?;
    let width = code.width();
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (index % width + MARGIN, index / width + MARGIN);
            write!(path, "M{x} {y}h1v1h-1z").map_err(|_| Trouble::Failed)?;
        }
    }
    Ok((width + 2 * MARGIN, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_corners_and_a_margin() {
        let (width, path) = path("otpauth://totp/Bartizan:ann?secret=A&issuer=Bartizan").unwrap();
        for (x, y) in [(MARGIN, MARGIN), (width - MARGIN - 1, MARGIN), (MARGIN, width - MARGIN - 1)] {
            assert!(path.contains(&format!("M{x} {y}h1")), "{x} {y}");
        }
        assert!(!path.contains(&format!("M{} ", MARGIN - 1)) && !path.contains(&format!(" {}h", width - MARGIN)));
    }
}
