//! Tokens whose signature is none of ours.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{
    super::{other_signer, signer},
    all_refused, our_header, part, signed, with,
};

/// What comes before an Ed25519 public key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The order of the group of Ed25519, the lowest byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[tokio::test]
async fn a_token_without_a_signature() {
    all_refused(|forger| {
        let mut attacks = Vec::new();
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let header = with(our_header(), "alg", json!(alg));
            let message =
                format!("{}.{}", part(header.to_string()), part(forger.payload().to_string()));
            attacks.push((format!("{alg}, without"), format!("{message}.")));
            attacks.push((format!("{alg}, cut off"), message));
            attacks.push((format!("{alg}, signed"), signed(&header, &forger.payload())));
        }
        let good = forger.good();
        let (message, _) = good.rsplit_once('.').unwrap();
        attacks.push(("EdDSA, without".to_owned(), format!("{message}.")));
        attacks
    })
    .await;
}

#[tokio::test]
async fn the_public_key_taken_for_a_shared_secret() {
    let key = signer().public_key().clone();
    let raw = URL_SAFE_NO_PAD.decode(&key.x).unwrap();
    let spki = [&SPKI[..], &raw].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&spki)
    );
    let secrets: Vec<Vec<u8>> = vec![
        raw,
        key.x.clone().into_bytes(),
        key.kid.clone().into_bytes(),
        spki,
        pem.trim_end().into(),
        pem.into(),
        serde_json::to_vec(&key).unwrap(),
        Vec::new(),
    ];
    all_refused(|forger| {
        let mut attacks = Vec::new();
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for secret in &secrets {
                let mut header = Header::new(algorithm);
                header.typ = Some("at+jwt".to_owned());
                header.kid = Some(key.kid.clone());
                let secret_key = EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&header, &forger.claims(), &secret_key).unwrap();
                attacks.push((format!("{algorithm:?} by {} bytes", secret.len()), token.clone()));
                // The same signature under the header that we expect.
                let (_, rest) = token.split_once('.').unwrap();
                let ours = part(our_header().to_string());
                attacks.push((format!("{algorithm:?}, hidden"), format!("{ours}.{rest}")));
            }
        }
        attacks
    })
    .await;
}

#[tokio::test]
async fn another_key_under_the_name_of_ours() {
    all_refused(|forger| {
        let stranger = other_signer().sign(&forger.claims()).unwrap();
        let (message, signature) = stranger.rsplit_once('.').unwrap();
        let (_, payload) = message.split_once('.').unwrap();
        let ours = part(our_header().to_string());
        let mut attacks = vec![
            ("a key that nobody knows".to_owned(), stranger.clone()),
            ("under our name".to_owned(), format!("{ours}.{payload}.{signature}")),
        ];
        // Signed anew, so that the signature is good for the message.
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        for alg in ["EdDSA", "ES256", "ES384", "ES512", "ES256K"] {
            let header = with(our_header(), "alg", json!(alg));
            let message =
                format!("{}.{}", part(header.to_string()), part(forger.payload().to_string()));
            let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            attacks.push((format!("{alg} by P-256"), format!("{message}.{}", part(signature))));
        }
        attacks
    })
    .await;
}

#[tokio::test]
async fn another_algorithm_in_the_header() {
    all_refused(|forger| {
        let algorithms = [
            "RS256",
            "RS384",
            "RS512",
            "PS256",
            "PS384",
            "PS512",
            "ES256",
            "ES384",
            "ES512",
            "ES256K",
            "HS256",
            "HS384",
            "HS512",
            "Ed25519",
            "Ed448",
            "eddsa",
            "EDDSA",
            "EdDSA ",
            "dir",
            "RSA-OAEP",
            "A256GCMKW",
            "ML-DSA-44",
        ];
        let mut attacks: Vec<_> = algorithms
            .iter()
            .map(|alg| forger.headed(&with(our_header(), "alg", json!(alg))))
            .collect();
        for alg in [json!(null), json!(["EdDSA"]), json!(0), json!({ "EdDSA": null })] {
            attacks.push(forger.headed(&with(our_header(), "alg", alg)));
        }
        attacks
    })
    .await;
}

#[tokio::test]
async fn a_signature_that_was_made_from_a_good_one() {
    all_refused(|forger| {
        let good = forger.good();
        let (message, signature) = good.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            format!("{message}.{}", part(bytes))
        };
        // Another number with the same remainder, which a careless verifier takes too.
        let plus_order = |bytes: &mut Vec<u8>| {
            let mut carry = 0;
            for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
                let sum = u16::from(*byte) + u16::from(order) + carry;
                *byte = sum.to_le_bytes()[0];
                carry = sum >> 8;
            }
        };
        let neutral = |bytes: &mut Vec<u8>| {
            bytes.fill(0);
            bytes[0] = 1;
        };
        let other = super::signed(&our_header(), &with(forger.payload(), "jti", json!("t-2")));
        let (_, of_other) = other.rsplit_once('.').unwrap();
        vec![
            ("S + L".to_owned(), changed(&plus_order)),
            ("nothing but zeros".to_owned(), changed(&|bytes| bytes.fill(0))),
            ("the neutral element".to_owned(), changed(&neutral)),
            ("too short".to_owned(), changed(&|bytes| bytes.truncate(63))),
            ("half".to_owned(), changed(&|bytes| bytes.truncate(32))),
            ("too long".to_owned(), changed(&|bytes| bytes.push(0))),
            ("twice".to_owned(), changed(&|bytes| bytes.extend_from_within(..))),
            ("R and S changed round".to_owned(), changed(&|bytes| bytes.rotate_left(32))),
            ("of another token".to_owned(), format!("{message}.{of_other}")),
        ]
    })
    .await;
}
