//! The service as others see it: a real process, a real database, real calls.

mod first_start;
mod people;
mod support;
mod tokens;
mod written;
