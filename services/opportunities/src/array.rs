//! Arrays of texts as one text, for statements that write several rows of them at once.

/// As PostgreSQL reads it where it is cast to `text[]`.
pub(crate) fn array(texts: &[String]) -> String {
    let quoted = texts.iter().map(|it| {
        let escaped = it.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}
