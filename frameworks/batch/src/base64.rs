//! Base64 in the standard alphabet: all that a job's files need of it. Padding is written, and not asked for.

/// The bytes; the error says what is wrong, fit to follow a field's name.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return Err("not base64: the length is wrong".to_owned());
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0u32, 0u32);
    for (at, digit) in digits.bytes().enumerate() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(format!("not base64: the character at {at}")),
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Ok(bytes)
}

/// The text.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS
                .get((bits >> (18 - 6 * place)) as usize & 63)
                .copied()
                .unwrap_or(b'A');
            text.push(if place <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

/// Bytes as base64 within JSON, for `#[serde(with = "base64::serde")]`.
pub mod serde {
    use ::serde::{Deserialize, Deserializer, Serialize, Serializer};
    use mezzo_sdk::types::File;

    #[derive(Serialize, Deserialize)]
    struct Kept {
        path: String,
        content: String,
        executable: bool,
    }

    /// Files with their content in base64.
    pub fn serialize<S: Serializer>(files: &[File], to: S) -> Result<S::Ok, S::Error> {
        let kept = files.iter().map(|file| Kept {
            path: file.path.clone(),
            content: super::encode(&file.content),
            executable: file.executable,
        });
        to.collect_seq(kept)
    }

    /// Back again.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<File>, D::Error> {
        let kept = Vec::<Kept>::deserialize(from)?;
        let file = |kept: Kept| {
            let content = super::decode(&kept.content).map_err(::serde::de::Error::custom)?;
            Ok(File {
                path: kept.path,
                content,
                executable: kept.executable,
            })
        };
        kept.into_iter().map(file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn known_pairs() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zg", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmFy", b"foobar"),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text}");
            assert_eq!(decode(&encode(bytes)).as_deref(), Ok(bytes), "{text}");
        }
        assert_eq!(encode(b"fo"), "Zm8=");
        for bad in ["Z", "Zg===", "Z-==", "Zm9v\n", "Zm=v"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
