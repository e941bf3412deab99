//! How a committed change reaches the services that derive from it: change log and outbox, relay, broker, inbox, consumer.
//!
//! In the order of a change's way:
//! 1. [`change`]: what a use case says about its change, and the row that this becomes.
//! 2. [`outbox`]: the rows, appended in the transaction of the change.
//! 3. [`relay`]: one task of the owning service gives every committed change its position and publishes it.
//! 4. [`stream`]: where it is published; the only place that knows subjects and the broker's settings.
//! 5. [`consumer`]: one task of a deriving service applies every event once and in order, from the broker while that works
//!    and from the owner ([`source`], [`log`]) where it does not. [`inbox`] is its memory.
//! 6. [`listen`]: what every process hears in passing, for caches and live streams; [`rights`] is one such cache.
//!
//! [`audit`] is the same log as administrators read it, [`dead_letters`] what could not be applied.
//!
//! Nothing here depends on the broker keeping anything: positions have no gaps, so a consumer sees what it missed and asks the
//! owner.

pub mod audit;
pub mod change;
pub mod consumer;
pub mod dead_letters;
pub mod inbox;
pub mod listen;
pub mod lock;
pub mod log;
pub mod outbox;
pub mod relay;
pub mod rights;
pub mod source;
pub mod stream;
mod trace;
mod wake;
pub mod wire;

pub use change::{Actor, Change, Encoded, encode, event_id, field_change};
pub use consumer::{ApplyError, Consumer};
pub use log::ChangeLog;
pub use relay::Relay;
pub use source::ChangeSource;
pub use trace::continue_trace;
pub use wake::Wake;

/// The messages themselves.
pub use proto::events::v1::{Event, EventBatch, FieldChange, Origin, StageMove, event::Record};
