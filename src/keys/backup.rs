//! Sealing backups to the charter's recipient, and opening them: age files, streamed, so that memory does not grow with them (SPEC 7.13).
//!
//! What opens a backup opens nothing else: the age identity is derived from the same seed as the signing keys, and none of them from it.

use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr as _;

use age::stream::{StreamReader, StreamWriter};
use age::x25519;
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use super::Passphrase;
use super::file::{KeyFile, WorkFactor, read_bounded};
use crate::core::rules::{Checked, Fault, Rule};

/// Largest identity file that is read, in bytes: one line each, and some remarks.
const IDENTITY_FILE_BYTES_MAX: usize = 16_384;
/// First line of a sealed key file (SPEC 9.2).
const KEY_FILE_FIRST: &str = "tabellion-key v1\n";

/// What opens backups: the identities of one file. Wiped when dropped, by their own type.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads what somebody keeps to open backups with: an identity file of age, or a sealed key file, whose passphrase is asked for then.
    ///
    /// # Errors
    /// `not-found`, `file-fault`; `key-file` when it is neither; those of opening the key file.
    pub fn read(path: &Path, passphrase: &mut dyn FnMut() -> Checked<Passphrase>) -> Checked<Identities> {
        let bytes = read_bounded(path, IDENTITY_FILE_BYTES_MAX + 1)?;
        let refuse = |reason: String| Fault::new(Rule::KeyFile, format!("{}: {reason}", path.display()));
        if bytes.len() > IDENTITY_FILE_BYTES_MAX {
            return Err(refuse(format!(
                "more than {IDENTITY_FILE_BYTES_MAX} bytes found; an identity file of age or a sealed key expected"
            )));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| refuse(format!("byte {} is not UTF-8", error.valid_up_to())))?;
        if text.starts_with(KEY_FILE_FIRST) {
            let seed = KeyFile::parse(text).map_err(|fault| fault.within(path.display()))?.unlock(&passphrase()?, WorkFactor::STANDARD)?;
            // The file does not say whether its keys are those of a rehearsal.
            let both = [false, true].map(|rehearsal| seed.age_identity(rehearsal).and_then(|(secret, _)| identity(&secret)));
            return both.into_iter().collect::<Checked<_>>().map(Identities);
        }
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let identities: Vec<_> = lines
            .map(|(at, line)| identity(line).map_err(|_| refuse(format!("line {} is no age identity (AGE-SECRET-KEY-1…)", at + 1))))
            .collect::<Checked<_>>()?;
        match identities.len() {
            0 => Err(refuse("no age identity found; at least 1 line AGE-SECRET-KEY-1… expected".into())),
            _ => Ok(Identities(identities)),
        }
    }

    /// Recipients whose files these open, `age1…`.
    pub fn recipients(&self) -> Vec<String> {
        self.0.iter().map(|identity| identity.to_public().to_string()).collect()
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({})", self.recipients().join(", "))
    }
}

fn identity(text: &str) -> Checked<x25519::Identity> {
    // What age says of a text that is none could repeat it; nobody is told.
    x25519::Identity::from_str(text).map_err(|_| Fault::new(Rule::KeyFile, "no age identity found; AGE-SECRET-KEY-1… expected"))
}

/// The text of an identity file, as age itself reads it: what a custodian keeps to open backups, and can sign nothing with.
///
/// # Errors
/// `internal-fault` when age does not read what was encoded.
pub fn identity_file(seed: &super::Seed, rehearsal: bool) -> Checked<(Zeroizing<String>, String)> {
    let (secret, recipient) = seed.age_identity(rehearsal)?;
    let lines =
        ["# opens backups of one witness and signs nothing; for age and for tabellion", &format!("# public key: {recipient}"), &secret];
    // The room is taken at once so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(512));
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    Ok((text, recipient))
}

/// Writes an age file to `out`: what is written to it is sealed.
pub struct Sealing<W: Write>(StreamWriter<W>);

impl<W: Write> Sealing<W> {
    /// Begins an age file for one recipient, `age1…`.
    ///
    /// # Errors
    /// `key-mismatch` when that is no recipient; `file-fault` when `out` cannot be written.
    pub fn begin(recipient: &str, out: W) -> Checked<Sealing<W>> {
        let to = x25519::Recipient::from_str(recipient)
            .map_err(|reason| Fault::new(Rule::KeyMismatch, format!("recipient {recipient:?}: {reason}; age1… expected in the charter")))?;
        let encryptor = Encryptor::with_recipients(std::iter::once(&to as &dyn age::Recipient))
            .map_err(|error| Fault::new(Rule::InternalFault, format!("beginning an age file: {error}")))?;
        let begun = encryptor.wrap_output(out);
        begun.map(Sealing).map_err(|error| Fault::new(Rule::FileFault, format!("beginning an age file: {error}")))
    }

    /// Ends the file: without it, it is cut off and opens nowhere.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads what an age file seals.
///
/// Each piece is authentic before it is handed out; that the whole is there is known at its end, which must be read.
pub struct Opened<R: Read>(StreamReader<R>);

impl<R: Read> Opened<R> {
    /// Opens an age file.
    ///
    /// # Errors
    /// `key-mismatch` when none of the identities opens it; `backup-fault` when it is no age file, is for a passphrase, or its header was changed.
    pub fn begin(input: R, identities: &Identities) -> Checked<Opened<R>> {
        let decryptor = begin(input)?;
        let all = identities.0.iter().map(|identity| identity as &dyn age::Identity);
        decryptor.decrypt(all).map(Opened).map_err(|error| match error {
            DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                let opens = identities.recipients().join(" or ");
                let found =
                    format!("a file for another recipient found, or one whose beginning was changed; the identity opens files for {opens}");
                Fault::new(Rule::KeyMismatch, found)
            }
            error => no_file(&error),
        })
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

/// Looks whether this is an age file for a recipient. For whom is not in it, and whether it is whole nobody can tell who cannot open it.
///
/// # Errors
/// `backup-fault`.
pub fn look(input: impl Read) -> Checked<()> {
    begin(input).map(drop)
}

fn begin<R: Read>(input: R) -> Checked<Decryptor<R>> {
    let decryptor = Decryptor::new(input).map_err(|error| no_file(&error))?;
    match decryptor.is_scrypt() {
        true => Err(Fault::new(Rule::BackupFault, "an age file for a passphrase found; one for a recipient expected")),
        false => Ok(decryptor),
    }
}

fn no_file(error: &DecryptError) -> Fault {
    let found = match error {
        DecryptError::InvalidMac => "an age file whose header fails its own check found",
        DecryptError::UnknownFormat => "an age file of another version found",
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof && error.kind() != io::ErrorKind::InvalidData => {
            return Fault::new(Rule::FileFault, format!("reading it: {error}"));
        }
        _ => "no whole header of an age file found",
    };
    Fault::new(Rule::BackupFault, format!("{found}; a backup, which is an age file of version 1, expected"))
}

#[cfg(test)]
mod tests {
    use super::super::Seed;
    use super::super::file::seal;
    use super::*;

    fn seed(byte: u8) -> Seed {
        Seed::from_bytes(&[byte; 32])
    }

    fn passphrase() -> Checked<Passphrase> {
        Passphrase::new(&Zeroizing::new("one".to_owned()))
    }

    fn no_passphrase() -> Checked<Passphrase> {
        Err(Fault::new(Rule::InternalFault, "asked for a passphrase"))
    }

    fn sealed(recipient: &str, content: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::begin(recipient, Vec::new()).expect("begun");
        sealing.write_all(content).expect("written");
        sealing.finish().expect("finished")
    }

    fn opened(file: &[u8], identities: &Identities) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut opened = Opened::begin(file, identities).map_err(|fault| fault.rule.id().to_owned())?;
        opened.read_to_end(&mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn an_identity_file_and_a_sealed_key_open_what_was_sealed_and_another_one_does_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("identity");
        let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        for rehearsal in [false, true] {
            let (text, recipient) = identity_file(&seed(1), rehearsal).expect("an identity");
            let file = sealed(&recipient, &content);
            std::fs::write(&path, text.as_bytes()).expect("written");
            let identities = Identities::read(&path, &mut no_passphrase).expect("read");
            assert_eq!((opened(&file, &identities), identities.recipients()), (Ok(content.clone()), vec![recipient]));
            let key = seal(&seed(1), &passphrase().expect("one"), WorkFactor::new(1).expect("low")).expect("sealed");
            std::fs::write(&path, key).expect("written");
            let identities = Identities::read(&path, &mut passphrase).expect("read");
            assert_eq!(opened(&file, &identities), Ok(content.clone()));
            assert!(!format!("{identities:?}").to_lowercase().contains("secret"));
            std::fs::write(&path, identity_file(&seed(2), rehearsal).expect("an identity").0.as_bytes()).expect("written");
            let other = Identities::read(&path, &mut no_passphrase).expect("read");
            assert_eq!(opened(&file, &other), Err("key-mismatch".into()));
        }
    }

    #[test]
    fn what_is_no_identity_is_refused_and_not_repeated() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("identity");
        let good = identity_file(&seed(1), false).expect("an identity").0;
        for (text, expected) in [
            (String::new(), "no age identity found"),
            ("# nothing\n\n".into(), "no age identity found"),
            (good.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q"), "line 3 is no age identity"),
            (format!("{}secret words\n", good.as_str()), "line 4 is no age identity"),
            ("x".repeat(IDENTITY_FILE_BYTES_MAX + 1), "more than 16384 bytes"),
            ("tabellion-key v1\nmember".into(), "the file ends in line 2"),
        ] {
            std::fs::write(&path, &text).expect("written");
            let fault = Identities::read(&path, &mut no_passphrase).expect_err(expected);
            assert!(fault.rule == Rule::KeyFile && fault.found.contains(expected) && !fault.found.contains("secret words"), "{fault}");
        }
        std::fs::write(&path, format!("  {}  ", good.replace('\n', "\r\n"))).expect("written");
        assert_eq!(Identities::read(&path, &mut no_passphrase).expect("read").recipients().len(), 1);
    }

    #[test]
    fn what_is_no_age_file_for_a_recipient_is_refused_by_name() {
        let (text, recipient) = identity_file(&seed(1), false).expect("an identity");
        let identities = Identities(vec![identity(text.lines().nth(2).expect("a line")).expect("an identity")]);
        let file = sealed(&recipient, b"content");
        let mut for_passphrase = Vec::new();
        let mut scrypt = age::scrypt::Recipient::new(age::secrecy::SecretString::from("x"));
        scrypt.set_work_factor(1);
        let encryptor = Encryptor::with_recipients(std::iter::once(&scrypt as &dyn age::Recipient)).expect("one");
        encryptor.wrap_output(&mut for_passphrase).and_then(StreamWriter::finish).expect("sealed");
        for (bytes, expected) in [
            (b"".to_vec(), "no whole header"),
            (b"bring milk\n".to_vec(), "no whole header"),
            (file[..40].to_vec(), "no whole header"),
            (for_passphrase, "for a passphrase"),
            (
                String::from_utf8_lossy(&file[..22]).replace("v1", "v2").into_bytes().into_iter().chain(file[22..].to_vec()).collect(),
                "found",
            ),
        ] {
            let fault = look(bytes.as_slice()).expect_err(expected);
            assert!(fault.rule == Rule::BackupFault && fault.found.contains(expected), "{fault}");
            assert!(opened(&bytes, &identities).is_err());
        }
        assert_eq!(look(file.as_slice()), Ok(()));
        assert_eq!(Sealing::begin("age1example", Vec::new()).map(drop).map_err(|fault| fault.rule), Err(Rule::KeyMismatch));
        for cut in [1, 7, 16, 17] {
            assert!(opened(&file[..file.len() - cut], &identities).is_err(), "{cut} bytes cut");
        }
        assert!(opened(&[file.as_slice(), b"x"].concat(), &identities).is_err(), "a byte more");
    }
}
