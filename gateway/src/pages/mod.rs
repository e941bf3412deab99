//! Pages for people: plain HTML from the server, without a script.
//!
//! A page's body is put together with `write!`; whatever is not written here goes through [`Text`], so that it stays text. [`Page`] lays it out and
//! says what a browser may do with it: next to nothing. [`Language`] is the one that its reader asked for, [`form_token`] knows a form that comes back.

pub mod external;
pub mod form_token;
mod language;
mod page;
pub mod password;
pub mod refusal;
pub mod second_step;
pub mod sign_in;
mod text;

pub use language::Language;
pub use page::Page;
pub use text::Text;
