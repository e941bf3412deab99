//! What the launcher is told from outside: the environment, and the file `.env` for what is not in it. Nothing else reads them.

#![expect(clippy::disallowed_methods, reason = "here the environment is read")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

use crate::folder;

/// A setting; an empty one counts as absent.
pub fn get(name: &str) -> Option<String> {
    let given = std::env::var(name).ok();
    given.or_else(|| file().get(name).cloned()).filter(|value| !value.is_empty())
}

/// A setting that is a number, or what it is by default.
pub fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T> {
    match get(name) {
        None => Ok(default),
        Some(text) => {
            text.parse().ok().with_context(|| format!("{name}={text} is not a number that fits"))
        }
    }
}

/// What `.env` says and the environment does not; child processes get it.
pub fn only_in_file() -> impl Iterator<Item = (&'static String, &'static String)> {
    file().iter().filter(|(name, _)| std::env::var_os(name).is_none())
}

/// The folders in which programs are looked for.
pub fn path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

fn file() -> &'static BTreeMap<String, String> {
    static FILE: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    FILE.get_or_init(|| {
        parse(&fs::read_to_string(folder::repository().join(".env")).unwrap_or_default())
    })
}

/// Lines of `NAME=value`, with or without quotes around the value; `#` begins a comment line.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned())).collect()
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_settings_file_is_pairs_with_comments_between_them() {
        let read =
            parse("# a comment\nPORT=8001\n\nADMIN_EMAIL = \"a=b@example.com\"\n#PORT=9\nEMPTY=\n");
        let pairs: Vec<_> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("ADMIN_EMAIL", "a=b@example.com"), ("EMPTY", ""), ("PORT", "8001")]);
    }
}
