//! What somebody is told of their own account, whoever did it: if it was not they, they can still act.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{NEWS, store};
use crate::{
    delivery,
    directory::{self, model::Language},
};

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has another password.
    PasswordChanged,
    /// Its second factor was turned on.
    SecondFactorOn,
    /// Its second factor was turned off, or taken away by an administrator.
    SecondFactorOff,
    /// It has other recovery codes.
    RecoveryCodesReplaced,
    /// It has another address.
    EmailChanged,
    /// Somebody at an external provider may sign in to it.
    ExternalLinked,
    /// A session of it ended because a token or code was used a second time.
    SessionStolen,
}

impl Kind {
    /// What an event of identity tells of an account, if anything that its owner is to know. Of an update it is what field changed, of a session why it ended.
    pub fn of(event_type: &str, detail: Option<&str>) -> Option<Self> {
        match (event_type, detail) {
            ("user.password_changed", _) => Some(Self::PasswordChanged),
            ("user.second_factor_enabled", _) => Some(Self::SecondFactorOn),
            ("user.second_factor_disabled" | "user.second_factor_reset", _) => {
                Some(Self::SecondFactorOff)
            }
            ("user.recovery_codes_replaced", _) => Some(Self::RecoveryCodesReplaced),
            ("user.updated", Some("email")) => Some(Self::EmailChanged),
            ("user.external_linked", _) => Some(Self::ExternalLinked),
            ("session.ended", Some("refresh_reuse" | "code_reuse")) => Some(Self::SessionStolen),
            _ => None,
        }
    }

    /// The event's name for who reads notifications.
    pub fn event(self) -> &'static str {
        match self {
            Self::PasswordChanged => "account.password_changed",
            Self::SecondFactorOn => "account.second_factor_enabled",
            Self::SecondFactorOff => "account.second_factor_disabled",
            Self::RecoveryCodesReplaced => "account.recovery_codes_replaced",
            Self::EmailChanged => "account.email_changed",
            Self::ExternalLinked => "account.external_linked",
            Self::SessionStolen => "account.session_ended",
        }
    }

    /// The title and the body.
    pub fn words(self, language: Language) -> (&'static str, &'static str) {
        match (self, language) {
            (Self::PasswordChanged, Language::ZhTw) => (
                "您的密碼已變更",
                "您的密碼已變更，其他裝置都已登出。\n若不是您本人，請立即以「忘記密碼」重設密碼，並通知管理員。",
            ),
            (Self::PasswordChanged, Language::En) => (
                "Your password was changed",
                "Your password was changed, and other devices were signed out.\nIf that was not you, set a new one by \"Forgot your password?\" now, and tell your administrator.",
            ),
            (Self::ExternalLinked, Language::ZhTw) => (
                "您的帳號已連結外部帳號",
                "有人以外部登入服務驗證了您的電子郵件，從現在起可用該外部帳號登入您的帳號。\n若不是您本人，請立即通知管理員。",
            ),
            (Self::ExternalLinked, Language::En) => (
                "Your account was linked with another",
                "Somebody signed in with the external provider, which has verified your address. From now on that account there signs in to yours here.\nIf that was not you, tell your administrator now.",
            ),
            (Self::SecondFactorOn, Language::ZhTw) => {
                ("兩步驟驗證已啟用", "您的帳號已啟用兩步驟驗證。\n若不是您本人，請立即通知管理員。")
            }
            (Self::SecondFactorOn, Language::En) => (
                "Your second step was turned on",
                "Signing in to your account now takes a second step.\nIf that was not you, tell your administrator now.",
            ),
            (Self::SecondFactorOff, Language::ZhTw) => (
                "兩步驟驗證已停用",
                "您的帳號已停用兩步驟驗證。\n若不是您本人，請立即變更密碼並通知管理員。",
            ),
            (Self::SecondFactorOff, Language::En) => (
                "Your second step was turned off",
                "Signing in to your account takes no second step any more.\nIf that was not you, change your password now, and tell your administrator.",
            ),
            (Self::RecoveryCodesReplaced, Language::ZhTw) => (
                "您的備用碼已更換",
                "您的帳號已產生新的備用碼，先前的備用碼都已失效。\n若不是您本人，請立即變更密碼並通知管理員。",
            ),
            (Self::RecoveryCodesReplaced, Language::En) => (
                "Your recovery codes were replaced",
                "Your account has new recovery codes, and the ones before are no longer good.\nIf that was not you, change your password now, and tell your administrator.",
            ),
            (Self::EmailChanged, Language::ZhTw) => (
                "您帳號的電子郵件已變更",
                "您帳號的電子郵件已變更，之後請以新的電子郵件登入，通知也會寄到新的電子郵件。\n若您不知道此事，請立即通知管理員。",
            ),
            (Self::EmailChanged, Language::En) => (
                "The address of your account was changed",
                "Your account has another e-mail address. From now on you sign in with that one, and mail goes there.\nIf you did not expect this, tell your administrator now.",
            ),
            (Self::SessionStolen, Language::ZhTw) => (
                "您的一個登入已被結束",
                "有人重複使用了您某次登入的權杖，可能已遭複製，因此該次登入已結束。\n請重新登入；若再次發生，請變更密碼並通知管理員。",
            ),
            (Self::SessionStolen, Language::En) => (
                "One of your sign-ins was ended",
                "A token of it was used twice: somebody may have a copy. So it was ended.\nPlease sign in again; if it happens again, change your password and tell your administrator.",
            ),
        }
    }
}

/// Something happened to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The event that told so.
    pub event_id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// The trace of the request that caused it; empty where there is none.
    pub traceparent: String,
    /// Whose account.
    pub user_id: i64,
    /// What.
    pub kind: Kind,
    /// The address that was theirs until now, if that is what changed: it is told, too.
    pub old_email: Option<String>,
}

/// Tells the owner of the account, once however often it is told to us. With a mail domain, by mail too. What is old is told to nobody: it comes where all events
/// are read anew.
pub async fn announce(
    tx: &mut PgConnection,
    notice: &Notice,
    mail_domain: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if notice.recorded_at <= now - NEWS {
        return Ok(());
    }
    let people = directory::store::people(tx, &[notice.user_id]).await?;
    let language = people.first().map(|it| Language::of(&it.language)).unwrap_or_default();
    let (title, body) = notice.kind.words(language);
    let new = store::New {
        recipient_user_id: notice.user_id,
        event: notice.kind.event(),
        title,
        body,
        opportunity_id: None,
        source_event_id: notice.event_id,
        occurred_at: notice.occurred_at,
    };
    let Some(id) = store::insert(tx, &new, now).await? else { return Ok(()) };
    if let Some(domain) = mail_domain {
        let name = format!("{}.{}", notice.event_id, notice.user_id);
        let mail = delivery::store::New {
            fixed_address: None,
            message_id: &format!("<{name}@{domain}>"),
            traceparent: &notice.traceparent,
        };
        delivery::store::queue(tx, id, mail, now).await?;
        if let Some(old) = &notice.old_email {
            let message_id = &*format!("<{name}.old@{domain}>");
            let mail = delivery::store::New { fixed_address: Some(old), message_id, ..mail };
            delivery::store::queue(tx, id, mail, now).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_owner_has_to_know_is_told() {
        for (event_type, end_reason, expected) in [
            ("user.password_changed", None, Some(Kind::PasswordChanged)),
            ("user.second_factor_enabled", None, Some(Kind::SecondFactorOn)),
            ("user.second_factor_reset", None, Some(Kind::SecondFactorOff)),
            ("user.external_linked", None, Some(Kind::ExternalLinked)),
            ("session.ended", Some("refresh_reuse"), Some(Kind::SessionStolen)),
            ("session.ended", Some("code_reuse"), Some(Kind::SessionStolen)),
            ("session.ended", Some("signed_out"), None),
            ("session.ended", None, None),
            ("session.started", Some("refresh_reuse"), None),
            ("user.created", None, None),
            ("user.updated", None, None),
            ("user.updated", Some("email"), Some(Kind::EmailChanged)),
            ("user.recovery_codes_replaced", None, Some(Kind::RecoveryCodesReplaced)),
        ] {
            assert_eq!(Kind::of(event_type, end_reason), expected, "{event_type} {end_reason:?}");
        }
    }

    #[test]
    fn what_is_told_is_told_in_both_languages() {
        for kind in [
            Kind::PasswordChanged,
            Kind::SecondFactorOn,
            Kind::SecondFactorOff,
            Kind::RecoveryCodesReplaced,
            Kind::EmailChanged,
            Kind::ExternalLinked,
            Kind::SessionStolen,
        ] {
            let ((title, body), (zh_title, zh_body)) =
                (kind.words(Language::En), kind.words(Language::ZhTw));
            assert!(title.is_ascii() && body.is_ascii() && body.contains('\n'), "{title}");
            assert!(!zh_title.is_ascii() && !zh_body.is_ascii(), "{title}");
        }
    }
}
