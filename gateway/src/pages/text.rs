//! Text inside HTML.

use std::fmt;

/// Displays as HTML that reads as this text, between tags and in an attribute between quotes (of either kind). Not for names of tags and attributes, nor for
/// addresses that begin with what somebody else chose.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'', '`', '\0']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                b'\'' => "&#39;",
                b'`' => "&#96;",
                _ => "\u{fffd}",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        for (text, expected) in [
            ("", ""),
            ("王小明 & 公司", "王小明 &amp; 公司"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onfocus='x'", "&quot; onfocus=&#39;x&#39;"),
            ("`a\0b", "&#96;a\u{fffd}b"),
            ("&amp;", "&amp;amp;"),
        ] {
            assert_eq!(Text(text).to_string(), expected);
        }
    }
}
