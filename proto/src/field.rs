//! How fields of a message are read and written in JSON, where serde's own way will not do. Generated code names these.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Code;
use crate::error::fault;
use crate::json;

/// A text that can be kept: PostgreSQL has no NUL in its texts.
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('\0') {
            return Err(D::Error::custom(fault(
                Code::InvalidCharacter,
                "must not hold the character U+0000",
            )));
        }
        Ok(Self(text))
    }
}

/// Reads a text.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::deserialize(deserializer).map(|Text(text)| text)
}

/// Reads a text or null.
pub fn optional_text<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(text)| text))
}

/// Reads a list of texts.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Text>::deserialize(deserializer)?.into_iter().map(|Text(text)| text).collect())
}

/// Reads a list of texts, or null for none: in a patch null clears.
pub fn texts_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Option::<Vec<Text>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(texts.into_iter().map(|Text(text)| text).collect())
}

/// A scalar that is not `optional`: it may be left out, and is never null.
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A message inside another. Serde would read it from a list, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Open<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Open<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Open(PhantomData)).map(Self)
    }
}

/// Reads a message.
pub fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| Some(value))
}

/// Reads a message or null.
pub fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// Reads a list of messages.
pub fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Vec::<Object<T>>::deserialize(deserializer)?
        .into_iter()
        .map(|Object(value)| value)
        .collect())
}

/// Reads a list of messages, or null for none: in a patch null clears.
pub fn objects_or_null<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(objects.into_iter().map(|Object(value)| value).collect())
}

/// Enums, which prost keeps as integers: by name in JSON. Used as `#[serde(with = "Enum::<Stage>")]`.
pub struct Enum<T>(PhantomData<T>);

impl<T> Enum<T> {
    /// Writes the name; null for a value without one.
    pub fn serialize<S, H>(held: &H, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        T: TryFrom<i32> + Serialize,
        H: Held,
    {
        held.write::<T, S>(serializer)
    }

    /// Reads a list of names that has one at least.
    pub fn some<'de, D>(deserializer: D) -> Result<Vec<i32>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Into<i32>,
    {
        let names = Vec::read::<T, D>(deserializer)?;
        if names.is_empty() {
            return Err(D::Error::custom(fault(Code::OutOfRange, "must name one at least")));
        }
        Ok(names)
    }

    /// Reads a list of names, or null for none: in a patch null clears.
    pub fn list_or_null<'de, D>(deserializer: D) -> Result<Vec<i32>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Into<i32>,
    {
        struct Names<T>(Vec<i32>, PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Into<i32>> Deserialize<'de> for Names<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Vec::read::<T, D>(deserializer).map(|names| Self(names, PhantomData))
            }
        }
        let names = Option::<Names<T>>::deserialize(deserializer)?;
        Ok(names.map(|Names(names, _)| names).unwrap_or_default())
    }

    /// Reads a name that is defined.
    pub fn deserialize<'de, D, H>(deserializer: D) -> Result<H, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Into<i32>,
        H: Held,
    {
        H::read::<T, D>(deserializer)
    }
}

/// How a message holds values of an enum: one, perhaps one, many, many by name.
pub trait Held: Sized {
    /// Writes the names.
    fn write<T, S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: TryFrom<i32> + Serialize,
        S: Serializer;

    /// Reads names.
    fn read<'de, T, D>(deserializer: D) -> Result<Self, D::Error>
    where
        T: Deserialize<'de> + Into<i32>,
        D: Deserializer<'de>;
}

/// The value for serde; null for one that this build does not know and for 0, which says that nothing was said.
fn known<T: TryFrom<i32>>(number: i32) -> Option<T> {
    Some(number).filter(|number| *number != 0).and_then(|number| T::try_from(number).ok())
}

/// The number of one name of an enum. Read as a text first: serde_json takes a value of another type for broken JSON there.
struct Name<T>(i32, PhantomData<T>);

impl<'de, T: Deserialize<'de> + Into<i32>> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let number = T::deserialize(name.as_str().into_deserializer()).map(Into::into);
        let number = if json::anyway() { number.unwrap_or(i32::MAX) } else { number? };
        Ok(Self(number, PhantomData))
    }
}

impl Held for i32 {
    fn write<T: TryFrom<i32> + Serialize, S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        known::<T>(*self).serialize(to)
    }

    fn read<'de, T, D>(from: D) -> Result<Self, D::Error>
    where
        T: Deserialize<'de> + Into<i32>,
        D: Deserializer<'de>,
    {
        Name::<T>::deserialize(from).map(|Name(number, _)| number)
    }
}

impl Held for Option<i32> {
    fn write<T: TryFrom<i32> + Serialize, S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.and_then(known::<T>).serialize(to)
    }

    fn read<'de, T, D>(from: D) -> Result<Self, D::Error>
    where
        T: Deserialize<'de> + Into<i32>,
        D: Deserializer<'de>,
    {
        Ok(Option::<Name<T>>::deserialize(from)?.map(|Name(number, _)| number))
    }
}

impl Held for Vec<i32> {
    fn write<T: TryFrom<i32> + Serialize, S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|number| list.serialize_element(&known::<T>(*number)))?;
        list.end()
    }

    fn read<'de, T, D>(from: D) -> Result<Self, D::Error>
    where
        T: Deserialize<'de> + Into<i32>,
        D: Deserializer<'de>,
    {
        let names = Vec::<Name<T>>::deserialize(from)?;
        Ok(names.into_iter().map(|Name(number, _)| number).collect())
    }
}

impl Held for BTreeMap<String, i32> {
    fn write<T: TryFrom<i32> + Serialize, S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.len()))?;
        self.iter().try_for_each(|(key, number)| map.serialize_entry(key, &known::<T>(*number)))?;
        map.end()
    }

    fn read<'de, T, D>(from: D) -> Result<Self, D::Error>
    where
        T: Deserialize<'de> + Into<i32>,
        D: Deserializer<'de>,
    {
        let names = BTreeMap::<String, Name<T>>::deserialize(from)?;
        Ok(names.into_iter().map(|(key, Name(number, _))| (key, number)).collect())
    }
}
