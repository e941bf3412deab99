//! Mail out, over SMTP.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};
use process::Secret;

use super::model::{Failure, Letter};
use crate::text::one_line;

/// How long the server may take to answer a command.
const PATIENCE: Duration = Duration::from_secs(10);

/// What mails are sent with.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Over the server of that URL (`smtp://`, `smtps://`, with `?tls=required` for STARTTLS), from that mailbox (`Name <address>`).
    /// It connects when there is something to send.
    pub fn try_new(smtp_url: &Secret, from: &str) -> anyhow::Result<Self> {
        // The parser's own message may repeat a part of the URL, and that may be the password.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp_url.expose())
            .ok()
            .context("SMTP_URL is not of the form smtp://user:password@host:port")?;
        let from =
            from.parse().context("EMAIL_FROM is no mailbox such as `Sales <sales@example.com>`")?;
        Ok(Self { transport: builder.timeout(Some(PATIENCE)).build(), from })
    }

    /// The domain that mails are from, for their ids.
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Sends one mail under that id. That it was taken is all that can be known.
    pub async fn send(
        &self,
        letter: &Letter,
        message_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let message = compose(&self.from, letter, message_id, now)
            .map_err(|error| Failure::Permanent(format!("{error:#}")))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if concerns_the_mail(&error) => Err(Failure::Permanent(in_full(&error))),
            Err(error) => Err(Failure::Passing(in_full(&error))),
        }
    }
}

/// The mail. What people typed comes into its head as one line each, through lettre's types, which encode it.
fn compose(
    from: &Mailbox,
    letter: &Letter,
    message_id: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<Message> {
    let recipient = &letter.recipient;
    let address: Address = recipient.email.parse().context("the recipient's address is none")?;
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(Some(one_line(&recipient.username)), address))
        .subject(one_line(&letter.title))
        .date(SystemTime::from(now))
        .message_id(Some(message_id.to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(format!("{}\n", letter.body))
        .context("compose the mail")
}

/// Whether the server refuses this mail for good. Wrong credentials (530 to 538) are the operator's to mend, and the mail waits.
fn concerns_the_mail(error: &smtp::Error) -> bool {
    let code = error.status().map(u16::from);
    error.is_permanent() && !code.is_some_and(|code| (530..=538).contains(&code))
}

/// The error with its sources, at most 500 characters.
fn in_full(error: &smtp::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text.chars().filter(|letter| *letter != '\0').take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::Recipient;

    #[test]
    fn nothing_in_a_mail_can_make_another_header() {
        let recipient = Recipient {
            username: "Amy\r\nBcc: spy@evil.example".to_owned(),
            email: "amy@example.com".to_owned(),
            is_active: true,
        };
        let letter = Letter {
            recipient: recipient.clone(),
            title: "Won: a\r\nBcc: spy@evil.example\r\n\r\nbody".to_owned(),
            body: "成交".to_owned(),
        };
        let (from, id): (Mailbox, _) =
            ("銷售 <sales@example.com>".parse().unwrap(), "<event.7@example.com>");
        let mail = compose(&from, &letter, id, DateTime::UNIX_EPOCH).unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc:")), "{head}");
        assert_eq!(mail.envelope().to().len(), 1);
        assert!(head.contains("Message-ID: <event.7@example.com>"), "{head}");
        let recipient = Recipient {
            email: "amy@example.com>\r\nRCPT TO:<spy@evil.example".to_owned(),
            ..recipient
        };
        let evil = Letter { recipient, ..letter };
        assert!(compose(&from, &evil, id, DateTime::UNIX_EPOCH).is_err());
    }

    #[tokio::test]
    async fn an_url_that_makes_no_sense_is_refused_without_being_repeated() {
        let error =
            Mailer::try_new(&Secret::from("http://hunter2@x"), "sales@example.com").unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"));
        assert!(Mailer::try_new(&Secret::from("smtp://localhost"), "nobody").is_err());
    }
}
