//! A real OpenID provider for tests, certified as such by the OpenID Foundation: the npm package `oidc-provider`.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::child::{Child, command};
use crate::folder::Scratch;
use crate::tools;

/// How we are known to it.
pub const CLIENT_ID: &str = "salespipeline";
/// Our password there.
pub const CLIENT_SECRET: &str = "a secret of the product's at its provider";

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Provider {
    /// As it names itself, and where it is.
    pub issuer: String,
    child: Child,
    _scratch: Scratch,
}

impl Provider {
    /// Starts it with accounts by name, `{"amy": {"email": "amy@example.com", "email_verified": true}}`, and the place that it may send people back to.
    ///
    /// # Errors
    /// When it is not there and cannot be fetched, or does not start.
    pub async fn start(redirect_uri: &str, accounts: &Value) -> Result<Self> {
        let (node, script) = tools::openid_provider().await?;
        let client = json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": [redirect_uri],
        });
        let settings = json!({"client": client, "accounts": accounts}).to_string();
        let scratch = Scratch::create()?;
        let mut program = command(&node, None, "TERM");
        program.arg(script).env("PROVIDER", settings).env("NODE_ENV", "production");
        let log = scratch.path().join("provider.log");
        let mut child = Child::start("the OpenID provider", program, &log, true)?;
        let output = child.output().context("its output is not piped")?;
        let mut lines = BufReader::new(output).lines();
        let Some(line) = lines.next_line().await? else {
            let status = child.wait().await?;
            anyhow::bail!("{}", child.obituary(status));
        };
        let said: Value = serde_json::from_str(&line)?;
        let issuer = said["issuer"].as_str().context("it does not say where it is")?.to_owned();
        Ok(Self { issuer, child, _scratch: scratch })
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        self.child.kill().await;
    }
}
