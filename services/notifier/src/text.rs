//! Text that people typed, on its way into messages.

/// The text without what would break out of its line: control characters and runs of space become one blank.
pub fn one_line(text: &str) -> String {
    let plain: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
