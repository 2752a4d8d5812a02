//! The sealed key file (SPEC 9.2): two public lines, and the seed under a passphrase in an armoured age file.

use std::fs::File;
use std::io::{ErrorKind, Read, Write as _};
use std::path::Path;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use zeroize::Zeroizing;

use super::{Passphrase, Seed};
use crate::core::ids::Origin;
use crate::core::rules::{Checked, Fault, Rule};

/// First line of a key file.
const MARK: &str = "tabellion-key v1";
/// Largest key file read, in bytes; ours have about 600.
const KEY_FILE_BYTES_MAX: usize = 16_384;

/// scrypt's cost: `2^log_n` blocks of 1 KiB, so 64 MiB at 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkFactor(u8);

impl WorkFactor {
    /// What key files are sealed with, and the most that is spent on opening one: log N 16, 64 MiB.
    pub const STANDARD: WorkFactor = WorkFactor(16);

    /// A work factor of `2^log_n`; tests take a low one.
    ///
    /// # Errors
    /// `usage` outside 1 to 16.
    pub fn new(log_n: u8) -> Checked<WorkFactor> {
        if (1..=WorkFactor::STANDARD.0).contains(&log_n) {
            Ok(WorkFactor(log_n))
        } else {
            Err(Fault::new(Rule::Usage, format!("scrypt log N {log_n} found, 1 to {} allowed", WorkFactor::STANDARD.0)))
        }
    }

    /// log N.
    pub fn log_n(self) -> u8 {
        self.0
    }
}

/// The text of a key file that holds `seed` under `passphrase`.
///
/// The public lines are those of the keys in earnest, also for a seed that will be used in a rehearsal.
///
/// # Errors
/// `internal-fault` when age fails to write into memory.
pub fn seal(seed: &Seed, passphrase: &Passphrase, work: WorkFactor) -> Checked<String> {
    let (member, log) = public_lines(seed)?;
    let armored =
        seal_seed(seed, passphrase, work).map_err(|error| Fault::new(Rule::InternalFault, format!("sealing a seed in memory: {error}")))?;
    let text = format!("{MARK}\nmember ed25519:{}\nlog ed25519:{}\n\n{armored}", hex::encode(member), hex::encode(log));
    Ok(text)
}

fn seal_seed(seed: &Seed, passphrase: &Passphrase, work: WorkFactor) -> Result<String, String> {
    let mut recipient = scrypt::Recipient::new(passphrase.expose());
    recipient.set_work_factor(work.0);
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).map_err(|e| e.to_string())?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).map_err(|e| e.to_string())?;
    let mut writer = encryptor.wrap_output(armor).map_err(|e| e.to_string())?;
    writer.write_all(seed.expose()).map_err(|e| e.to_string())?;
    let sealed = writer.finish().and_then(ArmoredWriter::finish).map_err(|e| e.to_string())?;
    String::from_utf8(sealed).map_err(|e| e.to_string())
}

/// Public keys of the member's and the log's role, which the file shows without being opened.
fn public_lines(seed: &Seed) -> Checked<([u8; 32], [u8; 32])> {
    // The key does not depend on the origin; only what it may sign does.
    let any: Origin = "any".parse()?;
    Ok((seed.member(false).public_bytes(), seed.log(any, false).public_bytes()))
}

/// A key file as read: its public lines, which are a hint until it was unlocked, and the sealed seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Public key the file shows for its member role.
    pub member_public: [u8; 32],
    /// Public key the file shows for its log role.
    pub log_public: [u8; 32],
    armored: String,
}

impl KeyFile {
    /// Reads the text of a key file. Nothing is opened.
    ///
    /// # Errors
    /// `key-file` with the line that is not as SPEC 9.2 has it.
    pub fn parse(text: &str) -> Checked<KeyFile> {
        if text.len() > KEY_FILE_BYTES_MAX {
            return Err(fault(format!("{} bytes found, at most {KEY_FILE_BYTES_MAX} expected", text.len())));
        }
        let mut rest = text;
        let mut line = |number: usize| {
            let (line, after) = rest.split_once('\n').ok_or_else(|| fault(format!("the file ends in line {number}")))?;
            rest = after;
            Ok(line)
        };
        let mark = line(1)?;
        if mark != MARK {
            return Err(fault(format!("line 1 is {:?}, {MARK:?} expected", mark.chars().take(40).collect::<String>())));
        }
        let member_public = public_key(line(2)?, 2, "member")?;
        let log_public = public_key(line(3)?, 3, "log")?;
        if !line(4)?.is_empty() {
            return Err(fault("line 4 is not empty".into()));
        }
        if !rest.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") || !rest.ends_with("-----END AGE ENCRYPTED FILE-----\n") {
            return Err(fault("from line 5 on it is not one armoured age file".into()));
        }
        Ok(KeyFile { member_public, log_public, armored: rest.to_owned() })
    }

    /// Reads a key file from disk.
    ///
    /// # Errors
    /// `not-found`, `file-fault`; `key-file` as [`KeyFile::parse`].
    pub fn read(path: &Path) -> Checked<KeyFile> {
        let bytes = read_bounded(path, KEY_FILE_BYTES_MAX + 1)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| fault(format!("byte {} is not UTF-8", error.valid_up_to())))?;
        KeyFile::parse(text).map_err(|fault| fault.within(path.display()))
    }

    /// Opens the seed, and compares the public lines with it.
    ///
    /// A file that asks for more work than `work` is refused before its memory is taken.
    ///
    /// # Errors
    /// `passphrase`; `key-file` when the sealed part is damaged or asks for too much work; `key-mismatch` when the public lines belong to
    /// another seed.
    pub fn unlock(&self, passphrase: &Passphrase, work: WorkFactor) -> Checked<Seed> {
        let seed = self.open(passphrase, work)?;
        let (member, log) = public_lines(&seed)?;
        for (role, shown, own) in [("member", self.member_public, member), ("log", self.log_public, log)] {
            if shown != own {
                return Err(Fault::new(
                    Rule::KeyMismatch,
                    format!("the file shows {role} ed25519:{}, its seed has ed25519:{}", hex::encode(shown), hex::encode(own)),
                ));
            }
        }
        Ok(seed)
    }

    fn open(&self, passphrase: &Passphrase, work: WorkFactor) -> Checked<Seed> {
        let mut identity = scrypt::Identity::new(passphrase.expose());
        identity.set_max_work_factor(work.0);
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(self.armored.as_bytes())).map_err(|error| self.refuse(&error, work))?;
        if !decryptor.is_scrypt() {
            return Err(fault("it is sealed to something other than one passphrase".into()));
        }
        let mut plain = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(|error| self.refuse(&error, work))?;
        let mut bytes = Zeroizing::new([0; 33]);
        let len = read_up_to(&mut plain, bytes.as_mut_slice()).map_err(|_| fault("the sealed part fails its own check".into()))?;
        let first: Option<&[u8; 32]> = bytes.first_chunk();
        match first {
            Some(seed) if len == 32 => Ok(Seed::from_bytes(seed)),
            _ => Err(fault(format!(
                "{} bytes are sealed in it, 32 expected",
                if len > 32 { "more than 32".into() } else { len.to_string() }
            ))),
        }
    }

    fn refuse(&self, error: &DecryptError, work: WorkFactor) -> Fault {
        match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys => {
                Fault::new(Rule::Passphrase, format!("the key file of member ed25519:{} stays closed", hex::encode(self.member_public)))
            }
            DecryptError::ExcessiveWork { required, .. } => fault(format!("it asks for scrypt log N {required}; 1 to {} allowed", work.0)),
            DecryptError::InvalidMac => fault("the age header fails its own check".into()),
            DecryptError::UnknownFormat => fault("the armoured part is no age file of version 1".into()),
            _ => fault("the armoured part is not a whole age file".into()),
        }
    }
}

fn fault(reason: String) -> Fault {
    Fault::new(Rule::KeyFile, reason)
}

/// `<role> ed25519:<64 hex>`.
fn public_key(line: &str, number: usize, role: &str) -> Checked<[u8; 32]> {
    let digits = line.strip_prefix(role).and_then(|rest| rest.strip_prefix(" ed25519:"));
    let hash = digits.and_then(crate::core::ids::Hash::from_hex);
    hash.map(|hash| hash.0).ok_or_else(|| {
        fault(format!(
            "line {number} is {:?}, \"{role} ed25519:\" and 64 lower-case hex digits expected",
            line.chars().take(90).collect::<String>()
        ))
    })
}

/// Writes a new key file that only its owner may read, whole or not at all, and has it and its folder on disk before it answers.
///
/// # Errors
/// `exists`: nothing is ever overwritten. `not-found` without its folder. `file-fault` with path and error.
pub fn write_new(path: &Path, text: &str) -> Checked<()> {
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Fault::new(Rule::Exists, format!("{} is there; no file expected", path.display())),
        ErrorKind::NotFound => Fault::new(Rule::NotFound, format!("{}: the folder of this file is not there", path.display())),
        _ => Fault::new(Rule::FileFault, format!("{}: {error}", path.display())),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    match std::fs::remove_file(path.with_file_name(&name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    // Made for its owner alone; removed when dropped.
    let temporary = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempfile_in(parent(path));
    let mut file = temporary.map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist_noclobber(path).map_err(|error| io(error.error))?;
    File::open(parent(path)).and_then(|folder| folder.sync_all()).map_err(io)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The first `most` bytes of a file, wiped when dropped; the caller tells from the length whether there may be more.
pub(super) fn read_bounded(path: &Path, most: usize) -> Checked<Zeroizing<Vec<u8>>> {
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Fault::new(Rule::NotFound, format!("{}: nothing is there", path.display())),
        _ => Fault::new(Rule::FileFault, format!("{}: {error}", path.display())),
    };
    let mut bytes = Zeroizing::new(vec![0; most]);
    let len = File::open(path).and_then(|mut file| read_up_to(&mut file, &mut bytes)).map_err(io)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Fills `out` as far as the source reaches.
fn read_up_to(source: &mut impl Read, out: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match source.read(&mut out[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    const LOW: WorkFactor = WorkFactor(2);

    fn seed() -> Seed {
        Seed::from_bytes(&std::array::from_fn(|i| i as u8))
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(&Zeroizing::new(text.to_owned())).expect("a passphrase")
    }

    fn sealed() -> String {
        seal(&seed(), &passphrase("right"), LOW).expect("sealed")
    }

    fn unlock(text: &str, word: &str, work: WorkFactor) -> Checked<[u8; 32]> {
        KeyFile::parse(text)?.unlock(&passphrase(word), work).map(|seed| *seed.expose())
    }

    #[test]
    fn sealed_seed_opens_with_its_passphrase_at_the_standard_work() {
        let text = seal(&seed(), &passphrase("right"), WorkFactor::STANDARD).expect("sealed");
        assert!(text.starts_with("tabellion-key v1\nmember ed25519:f9176dcb"), "{text}");
        assert!(text.is_ascii());
        assert_eq!(unlock(&text, "right", WorkFactor::STANDARD), Ok(*seed().expose()));
        let fault = unlock(&text, "right", LOW).expect_err("less work allowed than asked");
        assert_eq!((fault.rule, fault.found.as_str()), (Rule::KeyFile, "it asks for scrypt log N 16; 1 to 2 allowed"));
    }

    #[test]
    fn wrong_passphrase_is_said_and_opens_nothing() {
        let fault = unlock(&sealed(), "wrong", LOW).expect_err("a wrong passphrase");
        assert_eq!(fault.rule, Rule::Passphrase);
        assert!(fault.found.contains("f9176dcb"), "{fault}");
        assert!(!fault.found.contains("wrong"), "{fault}");
    }

    /// What the armoured part of a key file holds.
    fn unarmored(text: &str) -> Vec<u8> {
        let armor = text.split("\n\n").nth(1).expect("an armoured part");
        let body: String = armor.lines().filter(|line| !line.starts_with("-----")).collect();
        BASE64_STANDARD.decode(body).expect("base64")
    }

    /// The key file with something else in its armoured part.
    fn armored(text: &str, binary: &[u8]) -> String {
        let lines: Vec<String> =
            BASE64_STANDARD.encode(binary).as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        let head = text.split("\n\n").next().expect("a head");
        format!("{head}\n\n-----BEGIN AGE ENCRYPTED FILE-----\n{}\n-----END AGE ENCRYPTED FILE-----\n", lines.join("\n"))
    }

    #[test]
    fn enormous_work_factors_are_refused_before_memory_is_spent() {
        // age checks the header's own sum only after scrypt, so a changed number needs no other change.
        let text = sealed();
        let binary = unarmored(&text);
        let at = binary.windows(3).position(|w| w == b" 2\n").expect("the work factor");
        for (asked, shown) in [("17", "17"), ("30", "30"), ("63", "63"), ("64", "64"), ("255", "255")] {
            let forged = armored(&text, &[&binary[..at + 1], asked.as_bytes(), &binary[at + 2..]].concat());
            let fault = unlock(&forged, "right", WorkFactor::STANDARD).expect_err(asked);
            assert_eq!(fault.rule, Rule::KeyFile, "{asked}");
            assert_eq!(fault.found, format!("it asks for scrypt log N {shown}; 1 to 16 allowed"));
        }
    }

    #[test]
    fn one_changed_character_in_the_armoured_part_never_opens_it() {
        let text = sealed();
        let start = text.find("-----BEGIN").expect("an armoured part");
        for at in start..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            // A changed work factor may ask for more; 8 keeps the test quick whatever it asks for.
            let fault = unlock(&changed, "right", WorkFactor(8)).expect_err(&format!("byte {at} changed"));
            assert!(matches!(fault.rule, Rule::KeyFile | Rule::Passphrase), "byte {at}: {fault}");
        }
        // Which of the two depends on the salt above; here each is certain: another salt, and another letter in the first line.
        let binary = unarmored(&text);
        let salt = binary.windows(10).position(|window| window == b"-> scrypt ").expect("the stanza") + 10;
        for (at, rule) in [(salt, Rule::Passphrase), (0, Rule::KeyFile)] {
            let mut changed = binary.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(unlock(&armored(&text, &changed), "right", LOW).expect_err("changed").rule, rule, "byte {at}");
        }
        assert!(unlock(&armored(&text, &binary), "right", LOW).is_ok(), "unchanged");
    }

    #[test]
    fn changed_public_lines_are_found_when_it_is_unlocked() {
        let text = sealed();
        for (from, to) in [("member ed25519:f9", "member ed25519:f8"), ("log ed25519:3b", "log ed25519:3a")] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let fault = unlock(&changed, "right", LOW).expect_err(to);
            assert_eq!(fault.rule, Rule::KeyMismatch);
            assert!(fault.found.contains(&from[from.find("ed25519").expect("a key")..]), "{fault}");
        }
    }

    #[test]
    fn a_file_of_another_form_is_refused_with_its_line() {
        let text = sealed();
        for (bad, reason) in [
            (String::new(), "line 1"),
            (text.replacen("v1", "v2", 1), "line 1"),
            (text.replacen("member ed", "member Ed", 1), "line 2"),
            (text.replacen("log ", "ledger ", 1), "line 3"),
            (text.replacen("\n\n", "\nnote\n", 1), "line 4"),
            (text.replacen("\n\n", "\n\n\n", 1), "line 5"),
            (format!("{text}more\n"), "line 5"),
            (text.replace('\n', "\r\n"), "line 1"),
            ("x".repeat(KEY_FILE_BYTES_MAX + 1), "at most 16384"),
        ] {
            let fault = KeyFile::parse(&bad).expect_err(reason);
            assert_eq!(fault.rule, Rule::KeyFile);
            assert!(fault.found.contains(reason), "{fault}");
        }
        for cut in 0..text.len() {
            assert!(unlock(&text[..cut], "right", LOW).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_for_a_recipient_or_with_another_length_is_refused() {
        let head = sealed().split("\n\n").next().expect("a head").to_owned();
        let (_, recipient) = seed().age_identity(false).expect("an identity");
        let to: age::x25519::Recipient = recipient.parse().expect("a recipient");
        let other = age::encrypt_and_armor(&to, seed().expose()).expect("sealed");
        assert_eq!(unlock(&format!("{head}\n\n{other}"), "right", LOW).map_err(|f| f.rule), Err(Rule::KeyFile));
        let mut low = scrypt::Recipient::new(passphrase("right").expose());
        low.set_work_factor(2);
        for (len, shown) in [(0, "0 bytes"), (31, "31 bytes"), (33, "more than 32 bytes"), (100_000, "more than 32 bytes")] {
            let other = age::encrypt_and_armor(&low, &vec![7; len][..]).expect("sealed");
            // 100,000 bytes no longer are a key file by their size alone.
            let fault = unlock(&format!("{head}\n\n{other}"), "right", LOW).expect_err(shown);
            assert_eq!(fault.rule, Rule::KeyFile);
            assert!(fault.found.contains(shown) || len > KEY_FILE_BYTES_MAX, "{fault}");
        }
    }

    #[test]
    fn key_files_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("my.key");
        write_new(&path, &sealed()).expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
        let before = std::fs::read(&path).expect("read");
        assert_eq!(write_new(&path, "other").map_err(|f| f.rule), Err(Rule::Exists));
        assert_eq!(std::fs::read(&path).expect("read"), before);
        assert_eq!(KeyFile::read(&path).expect("a key file").unlock(&passphrase("right"), LOW).map(|s| *s.expose()), Ok(*seed().expose()));
        assert_eq!(write_new(&dir.path().join("no/key"), "x").map_err(|f| f.rule), Err(Rule::NotFound));
        // What a broken run left beside its place is replaced, and nothing stays.
        let other = dir.path().join("other.key");
        std::fs::write(dir.path().join("other.key.new"), "half").expect("written");
        write_new(&other, &sealed()).expect("written");
        assert_eq!(KeyFile::read(&other).map(drop), Ok(()));
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 2);
        assert_eq!(KeyFile::read(&dir.path().join("none")).map(drop).map_err(|f| f.rule), Err(Rule::NotFound));
    }

    #[test]
    fn work_factors_have_bounds() {
        assert_eq!(WorkFactor::new(16), Ok(WorkFactor::STANDARD));
        assert!(WorkFactor::new(1).is_ok());
        for log_n in [0, 17, 64, 255] {
            assert_eq!(WorkFactor::new(log_n).map_err(|f| f.rule), Err(Rule::Usage), "{log_n}");
        }
    }
}
