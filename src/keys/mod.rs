//! The only holder of secret bytes: seeds, the keys derived from them, sealed key files and the passphrases that open them.
//!
//! Secret bytes live on the heap in values that are wiped when dropped, and leave this module only sealed (`file`), as signatures, or as the
//! age identity a backup is opened with. No type here shows its content: `Debug` prints what is public. Each signature is verified, strictly,
//! before it is handed out, so that a fault of memory or processor cannot publish one from which a key could be computed.

pub mod backup;
pub mod derive;
pub mod entropy;
pub mod file;

use std::fmt;
use std::path::Path;

use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::core::rules::{Checked, Fault, Rule};

/// Longest passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// 32 secret bytes from which every key of one holder is derived (SPEC 9.1). Wiped when dropped; moving it copies no secret byte.
pub struct Seed(Box<Zeroizing<[u8; 32]>>);

impl Seed {
    /// A fresh seed from the operating system.
    ///
    /// The source is tried first: two draws must differ and neither may repeat one byte, as a source that answers zeros would.
    ///
    /// # Errors
    /// `internal-fault` when the source fails or does not pass.
    pub fn generate() -> Checked<Seed> {
        let (seed, other) = (Seed::draw()?, Seed::draw()?);
        if seed.0 == other.0 || is_constant(&seed.0) || is_constant(&other.0) {
            return Err(Fault::new(
                Rule::InternalFault,
                "two draws of 32 bytes from the system's randomness are equal or constant; two different ones are expected",
            ));
        }
        Ok(seed)
    }

    fn draw() -> Checked<Seed> {
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        getrandom::fill(bytes.as_mut_slice())
            .map_err(|error| Fault::new(Rule::InternalFault, format!("the system's randomness fails: {error}; 32 bytes are expected")))?;
        Ok(Seed(bytes))
    }

    /// A seed whose bytes are known already. The caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Seed {
        let mut seed = Seed(Box::new(Zeroizing::new([0; 32])));
        seed.0.copy_from_slice(bytes);
        seed
    }

    /// The secret bytes, for this module alone.
    fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

fn is_constant(bytes: &[u8; 32]) -> bool {
    bytes.iter().all(|b| *b == bytes[0])
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(secret)")
    }
}

/// What opens a key file: 1 to 1,024 bytes of UTF-8 without a line break. Wiped when dropped.
pub struct Passphrase(SecretString);

impl Passphrase {
    /// A passphrase that was typed. `text` is wiped by its own type.
    ///
    /// # Errors
    /// `usage` when it is empty, too long, or holds a line break; the text is never shown.
    pub fn new(text: &Zeroizing<String>) -> Checked<Passphrase> {
        let refuse = |reason: String| Err(Fault::new(Rule::Usage, format!("passphrase: {reason}")));
        match text.len() {
            0 => refuse("0 bytes found, 1 or more are needed".into()),
            len if len > PASSPHRASE_BYTES_MAX => refuse(format!("{len} bytes found, at most {PASSPHRASE_BYTES_MAX} are allowed")),
            _ if text.contains(['\n', '\r']) => refuse("it holds a line break, of which none is allowed".into()),
            _ => Ok(Passphrase(SecretString::from(text.as_str()))),
        }
    }

    /// The first line of a file, without its line break. `/dev/fd/<n>` reads an inherited descriptor.
    ///
    /// # Errors
    /// `not-found`, `file-fault` with path and error; `usage` as for [`Passphrase::new`], and when the first line is not UTF-8.
    pub fn from_file(path: &Path) -> Checked<Passphrase> {
        // Room for the longest line, its break, and one byte more to see that there is more.
        let bytes = file::read_bounded(path, PASSPHRASE_BYTES_MAX + 3)?;
        let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line)
            .map_err(|error| Fault::new(Rule::Usage, format!("passphrase: byte {} of the first line is not UTF-8", error.valid_up_to())))?;
        let mut copy = Zeroizing::new(String::with_capacity(text.len()));
        copy.push_str(text);
        Passphrase::new(&copy)
    }

    fn expose(&self) -> SecretString {
        SecretString::from(self.0.expose_secret())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_and_show_nothing() {
        let (one, two) = (Seed::generate().expect("randomness"), Seed::generate().expect("randomness"));
        assert_ne!(one.expose(), two.expose());
        assert_eq!(format!("{one:?}"), "Seed(secret)");
        assert!(is_constant(&[7; 32]));
        assert!(!is_constant(one.expose()));
    }

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pass");
        for (content, expected) in [("correct horse", "correct horse"), ("a b\nsecond\n", "a b"), ("ü\r\n", "ü"), (" x \n", " x ")] {
            std::fs::write(&path, content).expect("written");
            let passphrase = Passphrase::from_file(&path).expect(content);
            assert_eq!(passphrase.expose().expose_secret(), expected);
            assert_eq!(format!("{passphrase:?}"), "Passphrase(secret)");
        }
        let longest = "x".repeat(PASSPHRASE_BYTES_MAX);
        std::fs::write(&path, format!("{longest}\r\n{longest}")).expect("written");
        assert_eq!(Passphrase::from_file(&path).expect("the longest").expose().expose_secret(), longest);
        for content in ["".into(), "\nsecond".into(), "x".repeat(PASSPHRASE_BYTES_MAX + 1), "a\rb".into()] {
            std::fs::write(&path, &content).expect("written");
            assert_eq!(Passphrase::from_file(&path).map(drop).map_err(|f| f.rule), Err(Rule::Usage), "{content:.20}");
        }
        std::fs::write(&path, b"a\xff\n").expect("written");
        assert_eq!(Passphrase::from_file(&path).map(drop).map_err(|f| f.rule), Err(Rule::Usage));
        assert_eq!(Passphrase::from_file(&dir.path().join("none")).map(drop).map_err(|f| f.rule), Err(Rule::NotFound));
    }
}
