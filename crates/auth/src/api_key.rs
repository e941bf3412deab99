//! API keys: what one looks like. Identity makes them and knows them; the gateway sees by the form alone what can be none.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// What every key begins with, so that it is recognised wherever somebody left it.
const BEGINNING: &str = "spm_live_";

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// As many letters as 256 bits need.
const SECRET_LETTERS: usize = 43;
/// As many as 32 bits need.
const CHECKSUM_LETTERS: usize = 6;

/// An API key: `spm_live_<id>_<43 letters>_<6 letters>`. The first letters are the secret, the others the CRC-32 of all that is before
/// them, by which a typing mistake is told from a key without asking anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: i64,
    secret: [u8; 32],
}

impl ApiKey {
    /// The key of that id, which is 1 or more, with a secret that nobody can guess.
    pub fn new(id: i64, secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    /// Whether somebody means this to be an API key, and not an access token.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(BEGINNING)
    }

    /// Reads what [`ApiKey::expose`] wrote; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(BEGINNING)?.split_once('_')?;
        let id = id.parse().ok().filter(|id| *id > 0)?;
        let secret = read(rest.get(..SECRET_LETTERS)?)?;
        let key = Self { id, secret };
        (key.expose() == text).then_some(key)
    }

    /// The key as its owner gets it.
    pub fn expose(&self) -> String {
        let text = format!("{}_{}", Self::prefix(self.id), write(&self.secret, SECRET_LETTERS));
        let checksum = write(&crc32(text.as_bytes()).to_be_bytes(), CHECKSUM_LETTERS);
        format!("{text}_{checksum}")
    }

    /// What may be shown of the key of that id: its beginning.
    pub fn prefix(id: i64) -> String {
        format!("{BEGINNING}{id}")
    }

    /// Which key it says it is.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// What is kept of it: SHA-256 of its text. It has 256 random bits, so that a plain hash does.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.expose().as_bytes()).as_ref());
        hash
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_[secret]", Self::prefix(self.id))
    }
}

/// The number with these bytes, the highest first, in base 62 with so many letters.
fn write(number: &[u8], letters: usize) -> String {
    let mut number = number.to_vec();
    let mut text = vec![LETTERS[0]; letters];
    for letter in text.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest << 8 | u16::from(*byte);
            // Below 256, because the rest is below 62.
            [_, *byte] = (value / 62).to_be_bytes();
            rest = value % 62;
        }
        *letter = LETTERS[usize::from(rest)];
    }
    text.into_iter().map(char::from).collect()
}

/// The other way round; `None` for other letters, and for a number that is too large.
fn read(letters: &str) -> Option<[u8; 32]> {
    let mut number = [0; 32];
    for letter in letters.bytes() {
        let mut carry: u16 = LETTERS.iter().position(|it| *it == letter)?.try_into().ok()?;
        for byte in number.iter_mut().rev() {
            let [high, low] = (u16::from(*byte) * 62 + carry).to_be_bytes();
            (*byte, carry) = (low, u16::from(high));
        }
        if carry > 0 {
            return None;
        }
    }
    Some(number)
}

/// CRC-32 as in zip files and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_of_a_key_never_changes() {
        let bytes = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let key = "spm_live_17_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf_3SPajL";
        assert_eq!(ApiKey::new(17, bytes).expose(), key);
        assert_eq!(ApiKey::prefix(17), "spm_live_17");
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_letter_counts() {
        let key = ApiKey::new(4_711, [0xa5; 32]).expose();
        for at in 0..key.len() {
            for letter in ['0', 'z', '_', '+', ' ', 'é'] {
                let mut other = key.clone();
                other.replace_range(at..=at, &letter.to_string());
                assert!(other == key || ApiKey::parse(&other).is_none(), "{other}");
            }
            assert_eq!(ApiKey::parse(&key[..at]), None);
        }
    }

    #[test]
    fn a_key_is_written_in_one_way_only() {
        let key = ApiKey::new(7, [1; 32]).expose();
        let sealed = |text: &str| {
            let checksum = write(&crc32(text.as_bytes()).to_be_bytes(), CHECKSUM_LETTERS);
            format!("{text}_{checksum}")
        };
        let unsealed = &key[..key.len() - 7];
        assert_eq!(sealed(unsealed), key);
        let (_, secret) = unsealed.rsplit_once('_').unwrap();
        let too_large = "z".repeat(SECRET_LETTERS);
        for text in [
            format!("spm_live_07_{secret}"),
            format!("spm_live_+7_{secret}"),
            format!("spm_live_0_{secret}"),
            format!("spm_live_-7_{secret}"),
            format!("spm_live_9223372036854775808_{secret}"),
            format!("spm_live_7_0{secret}"),
            format!("spm_live_7_{}", &secret[1..]),
            format!("spm_live_7_{too_large}"),
            format!("SPM_LIVE_7_{secret}"),
        ] {
            assert_eq!(ApiKey::parse(&sealed(&text)), None, "{text}");
        }
        assert_eq!(ApiKey::parse(&format!("{key} ")), None);
    }

    #[test]
    fn a_key_does_not_print() {
        let key = ApiKey::new(7, [1; 32]);
        assert_eq!(format!("{key:?}"), "spm_live_7_[secret]");
    }

    #[test]
    fn what_is_kept_of_keys_differs_by_id_and_by_secret() {
        let key = ApiKey::new(7, [1; 32]);
        assert_eq!(key.hash(), ApiKey::parse(&key.expose()).unwrap().hash());
        assert_ne!(key.hash(), ApiKey::new(8, [1; 32]).hash());
        assert_ne!(key.hash(), ApiKey::new(7, [2; 32]).hash());
    }

    proptest! {
        #[test]
        fn a_key_reads_back_as_it_was_written(id in 1..=i64::MAX, secret: [u8; 32]) {
            let key = ApiKey::new(id, secret);
            let text = key.expose();
            prop_assert!(ApiKey::is_meant_by(&text));
            prop_assert_eq!(ApiKey::parse(&text), Some(key));
        }

        #[test]
        fn what_is_no_key_is_none(text in "(spm_live_)?[0-9]{0,20}_?[0-9A-Za-z_]{0,60}|\\PC{0,90}") {
            if let Some(key) = ApiKey::parse(&text) {
                prop_assert_eq!(key.expose(), text);
            }
        }
    }
}
