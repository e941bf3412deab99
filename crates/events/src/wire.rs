//! The bytes between log and broker: stored events get their position and become a batch without being decoded.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::{Event, EventBatch};

/// Most events of a message.
pub const BATCH_EVENTS: usize = 500;
/// Most bytes of a message, unless a single event is larger.
pub const BATCH_BYTES: usize = 512 * 1024;
/// Most bytes that the broker takes as one message. A larger event is not published; consumers have it from its owner.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// `EventBatch.events`.
const EVENTS: u32 = 1;
/// `Event.position`.
const POSITION: u32 = 7;

/// How many bytes an event of that payload and position takes in a batch.
pub fn len_in_batch(payload: &[u8], position: i64) -> usize {
    let event = payload.len() + position_len(position);
    key_len(EVENTS) + encoded_len_varint(event as u64) + event
}

/// Appends a stored event with its position to an encoded `EventBatch`. A protobuf reader takes the last value of a field, and fields
/// may come in any order, so that the position is simply appended.
pub fn append_to_batch(batch: &mut BytesMut, payload: &[u8], position: i64) {
    encode_key(EVENTS, WireType::LengthDelimited, batch);
    encode_varint((payload.len() + position_len(position)) as u64, batch);
    batch.put_slice(payload);
    encode_key(POSITION, WireType::Varint, batch);
    encode_varint(position.cast_unsigned(), batch);
}

/// A stored event with its position.
pub fn decode_stored(payload: &[u8], position: i64) -> Result<Event, prost::DecodeError> {
    let event = Event::decode(payload)?;
    Ok(Event { position, ..event })
}

/// The events of a message.
pub fn decode_batch(message: Bytes) -> Result<Vec<Event>, prost::DecodeError> {
    EventBatch::decode(message).map(|batch| batch.events)
}

fn position_len(position: i64) -> usize {
    key_len(POSITION) + encoded_len_varint(position.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Event {
        Event {
            event_id: name.to_owned(),
            aggregate: "team".to_owned(),
            aggregate_id: 7,
            ..Event::default()
        }
    }

    #[test]
    fn a_batch_of_stored_events_decodes_with_their_positions() {
        let mut batch = BytesMut::new();
        let mut expected = Vec::new();
        for (name, position) in [("a", 1), ("b", 127), ("c", 128), ("d", i64::MAX)] {
            let payload = event(name).encode_to_vec();
            let before = batch.len();
            append_to_batch(&mut batch, &payload, position);
            assert_eq!(batch.len() - before, len_in_batch(&payload, position));
            expected.push(Event { position, ..event(name) });
        }
        assert_eq!(decode_batch(batch.freeze()).unwrap(), expected);
    }

    #[test]
    fn a_position_that_was_stored_by_mistake_gives_way() {
        let payload = Event { position: 5, ..event("a") }.encode_to_vec();
        let mut batch = BytesMut::new();
        append_to_batch(&mut batch, &payload, 9);
        assert_eq!(decode_batch(batch.freeze()).unwrap()[0].position, 9);
        assert_eq!(decode_stored(&payload, 9).unwrap().position, 9);
    }
}
