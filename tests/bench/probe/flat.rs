//! The raw bound of verifying: the same hashed bytes in one flat file, scanned and hashed by nothing but BLAKE3.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tabellion::core::event::EventHasher;
use tabellion::ledger::Ledger;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// A file of frames: length, hash, the hashed bytes.
pub struct Flat {
    path: PathBuf,
    /// Where each part begins, and where the last ends: parts of about the same number of frames.
    parts: Vec<u64>,
}

impl Flat {
    /// Writes what the ledger's events are hashed from; `events` frames in `parts` parts.
    pub fn write(ledger: &Ledger, events: u64, dir: &Path, parts: u64) -> Flat {
        let path = dir.join("flat");
        let mut file = BufWriter::new(File::create(&path).unwrap());
        let (mut hasher, mut at, mut number, mut begins) = (EventHasher::new(), 0, 0, Vec::new());
        ledger
            .for_each_row(1, |row| {
                if number * parts / events == begins.len() as u64 {
                    begins.push(at);
                }
                let hash = hasher.hash(&row.parts());
                let bytes = hasher.encoding();
                file.write_all(&(bytes.len() as u32).to_le_bytes()).unwrap();
                file.write_all(&hash).unwrap();
                file.write_all(bytes).unwrap();
                (at, number) = (at + 36 + bytes.len() as u64, number + 1);
                Ok(())
            })
            .unwrap();
        file.flush().unwrap();
        begins.push(at);
        Flat { path, parts: begins }
    }

    /// Hashes every frame on this thread, and compares.
    pub fn scan(&self) {
        self.scan_bytes(0, self.parts[self.parts.len() - 1]);
    }

    /// The same, a thread for each part.
    pub fn scan_by_all(&self) {
        std::thread::scope(|scope| {
            for part in self.parts.windows(2) {
                scope.spawn(|| self.scan_bytes(part[0], part[1]));
            }
        });
    }

    fn scan_bytes(&self, begin: u64, end: u64) {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(begin)).unwrap();
        let mut keyed = blake3::Hasher::new_derive_key("tabellion 2026 event v1");
        let (mut buffer, mut filled, mut left) = (vec![0; READ_BYTES], 0, (end - begin) as usize);
        while left > 0 || filled > 0 {
            let most = (filled + left).min(READ_BYTES);
            let read = file.read(&mut buffer[filled..most]).unwrap();
            (filled, left) = (filled + read, left - read);
            let mut at = 0;
            while let Some(length) = buffer[at..filled].first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize) {
                if at + 36 + length > filled {
                    break;
                }
                let (hash, bytes) = buffer[at + 4..at + 36 + length].split_at(32);
                assert_eq!(keyed.reset().update(bytes).finalize().as_bytes(), hash);
                at += 36 + length;
            }
            assert!(at > 0, "a frame that is cut");
            buffer.copy_within(at..filled, 0);
            filled -= at;
        }
    }
}
