//! Opening plain files without following anything, and the small reads and syncs that scanning, bundles and publishing share.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Advice, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

/// Bytes read at a time.
pub(super) const CHUNK_BYTES: usize = 131_072;

/// Opens a plain file with one link, and answers its length in bytes. Links, devices, pipes and sockets are not even opened.
///
/// # Errors
/// `file-not-plain`, `file-unreadable`.
pub(super) fn open_plain(path: &Path) -> Checked<(File, u64)> {
    let unreadable = |error: std::io::Error| Fault::new(Rule::FileUnreadable, error.to_string());
    refuse_unless_plain(&std::fs::symlink_metadata(path).map_err(unreadable)?)?;
    // It could have been replaced since: NOFOLLOW and NONBLOCK keep the open harmless, and what was opened is looked at once more.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| unreadable(errno.into()))?);
    let metadata = file.metadata().map_err(unreadable)?;
    refuse_unless_plain(&metadata)?;
    Ok((file, metadata.len()))
}

fn refuse_unless_plain(metadata: &Metadata) -> Checked<()> {
    if metadata.is_file() && metadata.nlink() == 1 {
        return Ok(());
    }
    let found = match metadata.nlink() {
        links if metadata.is_file() => format!("a file with {links} names"),
        _ => kind_word(metadata).to_owned(),
    };
    Err(Fault::new(Rule::FileNotPlain, format!("{found} found, a file with 1 name expected")))
}

/// What something on a medium is, for people.
pub(super) fn kind_word(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => "a file",
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "something of an unknown kind",
    }
}

/// Fills `out` as far as the source reaches.
pub(super) fn read_up_to(source: &mut impl Read, out: &mut [u8]) -> std::io::Result<usize> {
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

/// Hands all that is left of `source` to `each`, and answers its hash and length.
pub(super) fn hash_through(source: &mut impl Read, each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<(Hash, u64)> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut len = 0;
    loop {
        let got = read_up_to(source, &mut chunk)?;
        hasher.update(&chunk[..got]);
        each(&chunk[..got])?;
        len += got as u64;
        if got < chunk.len() {
            return Ok((Hash(hasher.finalize().into()), len));
        }
    }
}

/// Asks the system to forget what it remembers of a synced file, so that reading it again asks the medium. A hint: nothing depends on it.
pub(super) fn forget_cached(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
}

/// Has the names in a folder on the medium.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder a file lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A path as it is shown: control characters, direction marks, backslashes and what is not UTF-8 are escaped, so that it can neither move
/// the cursor nor pass for another.
pub(super) fn shown(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            let hidden = c.is_control() || c == '\\' || (!c.is_ascii() && c.escape_debug().len() > 1);
            if hidden { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn paths_are_shown_escaped() {
        for (bytes, expected) in [
            (&b"tabellion/inbox/a b.paper"[..], "tabellion/inbox/a b.paper"),
            ("Größe".as_bytes(), "Größe"),
            (b"a\nb\x1b[2J\x7f", "a\\nb\\u{1b}[2J\\u{7f}"),
            (b"a\\nb", "a\\\\nb"),
            (b"\xff\xfea", "\\xff\\xfea"),
            ("a\u{202e}cod\u{200b}".as_bytes(), "a\\u{202e}cod\\u{200b}"),
        ] {
            assert_eq!(shown(Path::new(OsStr::from_bytes(bytes))), expected);
        }
    }
}
