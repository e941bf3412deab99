//! What is said of a link, and in which words.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use crate::{
    delivery::model::{Letter, Recipient},
    directory::model::Language,
};

/// A link was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The event that told so.
    pub event_id: Uuid,
    /// The trace of the request that caused it; empty where there is none.
    pub traceparent: String,
    /// The link.
    pub link_id: i64,
    /// Whose password.
    pub user_id: i64,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An administrator's: to set the first password, or another one.
    Invitation,
    /// To set another one, because it was forgotten.
    Reset,
}

/// A link as it is mailed. It does not print: it is a secret.
#[derive(Clone)]
pub struct Link {
    /// Whose password.
    pub recipient: Recipient,
    /// In which it is told.
    pub language: Language,
    /// IANA name of the recipient's zone.
    pub time_zone: String,
    /// What it is for.
    pub kind: Kind,
    /// The link itself.
    pub url: process::Secret,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

/// The mail that brings it.
pub fn letter(link: &Link) -> Letter {
    let zone: Tz = link.time_zone.parse().unwrap_or(Tz::UTC);
    let until = link.expires_at.with_timezone(&zone).format("%Y-%m-%d %H:%M");
    let until = format!("{until} ({zone})");
    let url = link.url.expose();
    let (title, body) = match (link.kind, link.language) {
        (Kind::Invitation, Language::ZhTw) => (
            "邀請您使用 Sales Pipeline Manager",
            format!(
                "您受邀使用 Sales Pipeline Manager。請開啟以下連結設定您的密碼：\n\n{url}\n\n連結有效至 {until}，僅能使用一次。\n若您不認識邀請您的組織，請忽略此信。"
            ),
        ),
        (Kind::Invitation, Language::En) => (
            "You are invited to Sales Pipeline Manager",
            format!(
                "You are invited to Sales Pipeline Manager. Open this link to set your password:\n\n{url}\n\nIt is good until {until}, once.\nIf you do not know who invites you, ignore this mail."
            ),
        ),
        (Kind::Reset, Language::ZhTw) => (
            "重設您的密碼",
            format!(
                "有人要求重設您在 Sales Pipeline Manager 的密碼。請開啟以下連結設定新密碼：\n\n{url}\n\n連結有效至 {until}，僅能使用一次。\n若不是您本人要求的，請忽略此信，您的密碼不會變更。"
            ),
        ),
        (Kind::Reset, Language::En) => (
            "Set a new password",
            format!(
                "Somebody asked for a new password for you at Sales Pipeline Manager. Open this link to set it:\n\n{url}\n\nIt is good until {until}, once.\nIf it was not you who asked, ignore this mail: your password stays what it is."
            ),
        ),
    };
    Letter { recipient: link.recipient.clone(), title: title.to_owned(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: Kind, language: Language) -> Link {
        Link {
            recipient: Recipient {
                username: "Amy".to_owned(),
                email: "amy@example.com".to_owned(),
                is_active: true,
            },
            language,
            time_zone: "Asia/Taipei".to_owned(),
            kind,
            url: "https://sales.example/set-password?token=5.x".into(),
            expires_at: DateTime::from_timestamp(1_760_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn a_link_comes_with_its_time_in_the_zone_and_language_of_whom_it_is_for() {
        for (kind, language, title, good_until) in [
            (
                Kind::Invitation,
                Language::En,
                "You are invited to Sales Pipeline Manager",
                "until 2025-10-09 16:53 (Asia/Taipei), once",
            ),
            (
                Kind::Reset,
                Language::En,
                "Set a new password",
                "until 2025-10-09 16:53 (Asia/Taipei), once",
            ),
            (
                Kind::Invitation,
                Language::ZhTw,
                "邀請您使用 Sales Pipeline Manager",
                "有效至 2025-10-09 16:53 (Asia/Taipei)",
            ),
            (Kind::Reset, Language::ZhTw, "重設您的密碼", "有效至 2025-10-09 16:53 (Asia/Taipei)"),
        ] {
            let letter = letter(&link(kind, language));
            assert_eq!(letter.title, title);
            assert!(letter.body.contains(good_until), "{}", letter.body);
            let alone = "\n\nhttps://sales.example/set-password?token=5.x\n\n";
            assert!(letter.body.contains(alone), "{}", letter.body);
        }
    }

    #[test]
    fn a_zone_that_is_not_known_here_is_told_in_utc() {
        let link = Link { time_zone: "Mars/Olympus".to_owned(), ..link(Kind::Reset, Language::En) };
        assert!(letter(&link).body.contains("2025-10-09 08:53 (UTC)"));
    }
}
