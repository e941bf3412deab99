//! What is looked at before a workbook is opened: how many parts there are in its zip, and how much they are unpacked, whatever they say themselves.

use std::io::{self, Cursor, Read as _};

use zip::ZipArchive;
use zip::result::ZipError;

use super::super::file::Flaw;

/// The most parts.
const MOST_PARTS: usize = 1_000;
/// How much all that is read may be, unpacked.
const MOST_UNPACKED: u64 = 512 * 1024 * 1024;
/// How many times as large as the file it may be.
const MOST_TIMES: u64 = 100;
/// How large it may be whatever the file's size.
const ALWAYS_UNPACKED: u64 = 64 * 1024 * 1024;
/// The part that says what the others are, and how long it may be.
const TYPES: (&str, u64) = ("[Content_Types].xml", 1024 * 1024);

/// Whether a workbook may be opened. No size that it tells is believed: every part but pictures is unpacked and counted.
pub(super) fn check(bytes: &[u8]) -> Result<(), Flaw> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| flaw(&error))?;
    if zip.len() > MOST_PARTS {
        return Err(Flaw::TooMuchPacked);
    }
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let most = length.saturating_mul(MOST_TIMES).clamp(ALWAYS_UNPACKED, MOST_UNPACKED);
    let mut room = most;
    let mut has_types = false;
    for index in 0..zip.len() {
        let part = zip.by_index(index).map_err(|error| flaw(&error))?;
        let name = part.name().map_err(|error| flaw(&error))?.to_ascii_lowercase();
        if name.ends_with("vbaproject.bin") {
            return Err(Flaw::Macros);
        }
        if name == TYPES.0.to_ascii_lowercase() {
            let mut types = String::new();
            let read = part.take(TYPES.1).read_to_string(&mut types);
            read.map_err(|_| Flaw::BrokenWorkbook)?;
            if types.contains("macroEnabled") {
                return Err(Flaw::Macros);
            }
            has_types = true;
        } else if !name.starts_with("xl/media/") {
            // Whatever its name: the relations say what is read.
            let unpacked = io::copy(&mut part.take(room + 1), &mut io::sink());
            let unpacked = unpacked.map_err(|_| Flaw::BrokenWorkbook)?;
            room = room.checked_sub(unpacked).ok_or(Flaw::TooMuchPacked)?;
        }
    }
    if has_types { Ok(()) } else { Err(Flaw::BrokenWorkbook) }
}

fn flaw(error: &ZipError) -> Flaw {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => Flaw::UnknownFormat,
        _ => Flaw::BrokenWorkbook,
    }
}
