//! Arrays of texts as one text, for statements that write several rows of them at once.

/// As PostgreSQL reads it where it is cast to `text[]`.
pub(crate) fn array(texts: &[String]) -> String {
    let length = texts.iter().map(|it| it.len() + 3).sum::<usize>();
    let mut array = String::with_capacity(length + 2);
    array.push('{');
    for (index, text) in texts.iter().enumerate() {
        array.push_str(if index == 0 { "\"" } else { ",\"" });
        for it in text.chars() {
            if matches!(it, '"' | '\\') {
                array.push('\\');
            }
            array.push(it);
        }
        array.push('"');
    }
    array.push('}');
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_text_it_is_one() {
        let texts = ["a", "", "b,c", "\"d\"", "\\", "{系}", "null"].map(str::to_owned);
        assert_eq!(array(&texts), r#"{"a","","b,c","\"d\"","\\","{系}","null"}"#);
        assert_eq!(array(&[]), "{}");
    }
}
