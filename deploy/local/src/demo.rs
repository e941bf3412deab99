//! Demonstration data at the first start, and what a newcomer is told.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::sleep;

use crate::secrets::Secrets;
use crate::stack::{Stack, succeeded};
use crate::{SERVICES, folder, say, settings};

/// The remark on the schema that says what was filled in: `demonstration`, and once it is whole the answer of the command.
const BEGUN: &str = "demonstration";

/// How long analytics may take to hear of all that was filled in; then it learns from what it has heard of.
const HEARS_WITHIN: Duration = Duration::from_mins(1);

/// Someone to sign in as.
#[derive(Clone, Debug, Deserialize)]
struct Account {
    email: String,
    name: String,
    role: String,
}

/// What a newcomer is told.
#[derive(Debug)]
pub struct Welcome {
    secrets: Secrets,
    accounts: Vec<Account>,
    /// Where each service speaks gRPC.
    services: Vec<String>,
}

/// Fills in the demonstration where there is nothing yet, or where it was interrupted; not with `DEMO=false`.
pub async fn fill(stack: &Stack, base: &Path) -> Result<Welcome> {
    let mut connection =
        PgConnection::connect(&stack.database().owner_url("opportunities")).await?;
    let mut remark: Option<String> =
        sqlx::query_scalar("select obj_description('opportunities'::regnamespace, 'pg_namespace')")
            .fetch_one(&mut connection)
            .await?;
    let wanted = settings::get("DEMO").is_none_or(|demo| demo != "false");
    if wanted && is_due(&mut connection, remark.as_deref()).await? {
        say("Filling in demonstration data (once; not with DEMO=false)");
        set_remark(&mut connection, BEGUN).await?;
        let answer = ask(stack).await?;
        set_remark(&mut connection, &answer).await?;
        remark = Some(answer);
        say("Having the forecast learn from it");
        teach(stack, &mut connection).await?;
    }
    connection.close().await?;
    let accounts = remark.and_then(|remark| {
        let answer: serde_json::Value = serde_json::from_str(&remark).ok()?;
        serde_json::from_value(answer.get("accounts")?.clone()).ok()
    });
    if settings::get("ADMIN_PASSWORD").is_some_and(|given| given != stack.secrets().admin_password)
    {
        say(format_args!(
            "ADMIN_PASSWORD is for the first start: the one in {} stays",
            base.join("secrets.json").display()
        ));
    }
    let place = |service: &&str| {
        let urls = stack.urls(service).join(" ").replace("https://", "").replace("http://", "");
        format!("{service} {urls}")
    };
    Ok(Welcome {
        secrets: stack.secrets().clone(),
        accounts: accounts.unwrap_or_default(),
        services: SERVICES.iter().map(place).collect(),
    })
}

async fn is_due(connection: &mut PgConnection, remark: Option<&str>) -> Result<bool> {
    match remark {
        None => {
            let empty =
                sqlx::query_scalar("select not exists (select from opportunities.opportunities)");
            Ok(empty.fetch_one(connection).await?)
        }
        Some(remark) => Ok(remark == BEGUN),
    }
}

async fn set_remark(connection: &mut PgConnection, remark: &str) -> Result<()> {
    let sql = format!("comment on schema opportunities is '{}'", remark.replace('\'', "''"));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

async fn ask(stack: &Stack) -> Result<String> {
    let secrets = stack.secrets();
    let settings = [
        ("ADMIN_EMAIL", secrets.admin_email.as_str()),
        ("ADMIN_PASSWORD", &secrets.admin_password),
        ("DEMO_PASSWORD", &secrets.demo_password),
    ];
    let answer = stack.run_with("opportunities", &["demo"], &settings).await?;
    succeeded("opportunities", "demo", &answer)?;
    let said = String::from_utf8(answer.stdout)?;
    said.lines().last().map(str::to_owned).context("`opportunities demo` did not say what it made")
}

/// Has analytics learn as soon as it has heard of everything. Otherwise it would within a minute or two, first from a part of it.
async fn teach(stack: &Stack, opportunities: &mut PgConnection) -> Result<()> {
    let mut analytics = PgConnection::connect(&stack.database().owner_url("analytics")).await?;
    let deadline = Instant::now() + HEARS_WITHIN;
    while Instant::now() < deadline {
        let told: Option<i64> = sqlx::query_scalar(
            "select max(position) from opportunities.change_position where not exists (select from opportunities.outbox)",
        )
        .fetch_one(&mut *opportunities)
        .await?;
        let heard: Option<i64> = sqlx::query_scalar(
            "select position from analytics.progress where source = 'opportunities'",
        )
        .fetch_optional(&mut analytics)
        .await?;
        if told.is_some() && told == heard {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    analytics.close().await?;
    let answer = stack.run("analytics", &["train"]).await?;
    succeeded("analytics", "train", &answer)
}

impl Welcome {
    /// The address, the accounts, and something to try.
    pub fn text(&self, port: u16, base: &Path) -> String {
        let Secrets { admin_email, admin_password, demo_password, .. } = &self.secrets;
        let mut lines = vec![
            String::new(),
            format!(
                "The sales pipeline is at http://localhost:{port}, its documentation at http://localhost:{port}/docs"
            ),
            String::new(),
        ];
        let width = self
            .accounts
            .iter()
            .map(|account| account.email.len())
            .chain([admin_email.len()])
            .max()
            .unwrap_or_default();
        lines.push(format!("  {admin_email:width$}  {admin_password}  admin"));
        for Account { email, name, role } in &self.accounts {
            lines.push(format!("  {email:width$}  {demo_password}  {role:7}  {name}"));
        }
        let (email, password) = (
            quoted(&format!("username={admin_email}")),
            quoted(&format!("password={admin_password}")),
        );
        lines.extend([
            String::new(),
            "Try it:".to_owned(),
            String::new(),
            format!("  TOKEN=$(curl -s http://localhost:{port}/api/v1/auth/token --data-urlencode {email} --data-urlencode {password} | sed -n 's/.*\"access_token\": *\"\\([^\"]*\\)\".*/\\1/p')"),
            format!("  curl -s http://localhost:{port}/api/v1/pipeline/overview -H \"Authorization: Bearer $TOKEN\""),
            String::new(),
            format!("gRPC (with reflection): {}", self.services.join(", ")),
            format!("Ctrl-C stops it. Data and logs are in {}.", shortest(base)),
        ]);
        lines.join("\n")
    }
}

/// Text as one word of a shell's command.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "@=._-+".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn shortest(path: &Path) -> String {
    path.strip_prefix(folder::repository()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_can_copy_every_line_into_a_shell() {
        let mut secrets = Secrets::generate();
        secrets.admin_password = "it's $HOME".to_owned();
        let account =
            Account {
                email: "wang@example.com".into(), name: "王小明".into(), role: "rep".into()
            };
        let text = Welcome {
            secrets,
            accounts: vec![account],
            services: vec!["identity 127.0.0.1:7".into()],
        };
        let text = text.text(8001, Path::new("/elsewhere"));
        assert!(text.contains(r"--data-urlencode 'password=it'\''s $HOME'"), "{text}");
        assert!(
            text.contains("wang@example.com")
                && text.contains("http://localhost:8001/api/v1/pipeline/overview")
        );
    }
}
