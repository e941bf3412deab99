//! The language of a page.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language that pages speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Traditional Chinese.
    ZhTw,
    /// English.
    En,
}

impl Language {
    /// The first that is spoken here among those that are asked for: by name (`ui_locales` of OpenID Connect: tags with spaces between them, the best first), else in
    /// `Accept-Language`. English where only others are asked for, Traditional Chinese where none is.
    pub fn of(named: Option<&str>, headers: &HeaderMap) -> Self {
        let named = named.unwrap_or_default().split_ascii_whitespace().find_map(Self::spoken);
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        named.unwrap_or_else(|| accepted.map_or(Self::ZhTw, Self::accepted))
    }

    /// As `lang` says it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::ZhTw => "zh-Hant-TW",
            Self::En => "en",
        }
    }

    fn spoken(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next()?.to_ascii_lowercase().as_str() {
            "zh" | "*" => Some(Self::ZhTw),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    fn accepted(header: &str) -> Self {
        let mut ranges: Vec<(f32, &str)> = header
            .split(',')
            .map(|range| {
                let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
                let weight = parameters.trim().strip_prefix("q=");
                (weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0)), tag.trim())
            })
            .filter(|(weight, tag)| *weight > 0.0 && !tag.is_empty())
            .collect();
        // Stable: of equal ones the first.
        ranges.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let none = ranges.is_empty();
        let spoken = ranges.into_iter().find_map(|(_, tag)| Self::spoken(tag));
        spoken.unwrap_or(if none { Self::ZhTw } else { Self::En })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(named: Option<&str>, accepted: &str) -> Language {
        let mut headers = HeaderMap::new();
        if !accepted.is_empty() {
            headers.insert(ACCEPT_LANGUAGE, accepted.parse().unwrap());
        }
        Language::of(named, &headers)
    }

    #[test]
    fn a_page_speaks_the_language_that_its_reader_likes_best_of_those_it_can() {
        for (accepted, expected) in [
            ("", Language::ZhTw),
            ("zh-TW,zh;q=0.9,en;q=0.8", Language::ZhTw),
            ("en-US,en;q=0.9", Language::En),
            ("en;q=0.5, zh-Hant;q=0.7", Language::ZhTw),
            ("fr, en;q=0.1", Language::En),
            ("zh;q=0, en", Language::En),
            ("fr", Language::En),
            ("*", Language::ZhTw),
            (";;;q=,", Language::ZhTw),
        ] {
            assert_eq!(language(None, accepted), expected, "{accepted}");
        }
    }

    #[test]
    fn what_is_asked_for_by_name_goes_first() {
        assert_eq!(language(Some("fr zh-TW en"), "en"), Language::ZhTw);
        assert_eq!(language(Some("EN"), "zh-TW"), Language::En);
        assert_eq!(language(Some("fr"), "zh-TW"), Language::ZhTw);
    }
}
