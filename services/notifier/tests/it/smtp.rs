//! An SMTP server that takes down what it is sent, and answers as it is told to.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) head: String,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
pub(crate) struct Smtp {
    mails: Arc<Mutex<Vec<Mail>>>,
    /// What it says to a recipient; 250 when empty.
    verdict: Arc<Mutex<String>>,
}

impl Smtp {
    pub(crate) async fn start() -> (Self, String) {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Answers on that listener, until the runtime ends.
    pub(crate) fn on(listener: TcpListener) -> (Self, String) {
        let server = Self::default();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().converse(stream));
            }
        });
        (server, url)
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// From now on recipients are answered so: `451 later`, `550 no such mailbox`.
    pub(crate) fn answer_recipients(&self, verdict: &str) {
        verdict.clone_into(&mut self.verdict.lock().unwrap());
    }

    async fn converse(self, stream: TcpStream) {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"220 test ESMTP\r\n").await.unwrap();
        let (mut from, mut to) = (None, Vec::new());
        while let Ok(Some(line)) = lines.next_line().await {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-test\r\n250-8BITMIME\r\n250 SMTPUTF8".to_owned(),
                "MAIL" => {
                    from = Some(address(&line));
                    to = Vec::new();
                    "250 ok".to_owned()
                }
                "RCPT" => {
                    assert!(from.is_some(), "RCPT before MAIL");
                    let verdict = self.verdict.lock().unwrap().clone();
                    if verdict.is_empty() {
                        to.push(address(&line));
                        "250 ok".to_owned()
                    } else {
                        verdict
                    }
                }
                "DATA" => {
                    assert!(!to.is_empty(), "DATA before RCPT");
                    writer.write_all(b"354 go on\r\n").await.unwrap();
                    let mut text = String::new();
                    loop {
                        let line = lines.next_line().await.unwrap().unwrap();
                        if line == "." {
                            break;
                        }
                        text.push_str(line.strip_prefix('.').unwrap_or(&line));
                        text.push('\n');
                    }
                    let (head, body) = text.split_once("\n\n").unwrap();
                    let mail = Mail {
                        from: from.take().unwrap(),
                        to: std::mem::take(&mut to),
                        head: head.to_owned(),
                        body: body.to_owned(),
                    };
                    self.mails.lock().unwrap().push(mail);
                    "250 taken".to_owned()
                }
                "RSET" | "NOOP" => "250 ok".to_owned(),
                "QUIT" => "221 bye".to_owned(),
                other => panic!("the client said {other}"),
            };
            if writer.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() || verb == "QUIT"
            {
                return;
            }
        }
    }
}

impl Mail {
    /// The value of a header, unfolded and decoded.
    pub(crate) fn header(&self, name: &str) -> String {
        let unfolded = self.head.replace("\n ", " ");
        let values: Vec<_> = unfolded
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .collect();
        let [value] = values[..] else {
            panic!("{name} stands {} times in {}", values.len(), self.head)
        };
        decoded_words(value)
    }

    /// The body, decoded.
    pub(crate) fn text(&self) -> String {
        match self.header("Content-Transfer-Encoding").as_str() {
            "base64" => {
                let letters: String = self.body.split_whitespace().collect();
                String::from_utf8(STANDARD.decode(letters).unwrap()).unwrap().replace("\r\n", "\n")
            }
            "7bit" | "8bit" => self.body.clone(),
            "quoted-printable" => unquoted(&self.body),
            other => panic!("{other}"),
        }
    }
}

/// RFC 2047, of which lettre writes the base64 form; the space between two encoded words is nothing.
fn decoded_words(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut encoded_before = false;
    for word in value.split(' ') {
        let letters = word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?="));
        let space_counts = !encoded_before || letters.is_none();
        if space_counts && !bytes.is_empty() {
            bytes.push(b' ');
        }
        match letters {
            Some(letters) => bytes.extend(STANDARD.decode(letters).unwrap()),
            None => bytes.extend(word.bytes()),
        }
        encoded_before = letters.is_some();
    }
    String::from_utf8(bytes).unwrap()
}

/// RFC 2045, section 6.7.
fn unquoted(body: &str) -> String {
    let body = body.replace("=\n", "");
    let mut parts = body.split('=');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).unwrap()
}

fn address(line: &str) -> String {
    line.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned()
}
