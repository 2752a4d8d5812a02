//! The socket in the ledger's folder, and whole messages over it, each within a bounded time.
//!
//! `sun_path` holds 108 bytes and folders have longer names: every address here goes through `/proc/self/fd`, so the length of a path never
//! matters, and the name that is connected to is never followed as a link. This module decides nothing and answers nobody.

use std::fs::Permissions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use crate::clock::monotonic_us;
use crate::core::rules::{Checked, Fault, Rule};

use super::wire::{self, Message};

/// Name of the socket in the ledger's folder.
pub const SOCKET_FILE: &str = "broker.sock";
/// Its name until it can be connected to. Only whoever holds the lock uses it, so it needs no number.
pub const SOCKET_FILE_NEW: &str = "broker.sock.new";
/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;
/// How much of a message is made room for before it has come.
const CHUNK_BYTES: usize = 65_536;

fn fault(path: &Path, error: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))
}

/// The address of a name in an open folder.
fn below(folder: &OwnedFd, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())
}

/// A socket of ours in a folder; its name goes when this is dropped.
pub struct Bound {
    folder: OwnedFd,
    id: (u64, u64),
}

impl Drop for Bound {
    fn drop(&mut self) {
        let path = below(&self.folder, SOCKET_FILE);
        // Only ours: whatever has taken its place since is somebody's.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| (found.dev(), found.ino()) == self.id) {
            // What stays is a socket that nobody answers: the next leader replaces it.
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Listens in `dir`. Whoever calls this holds the lock: what another left there is nobody's any more.
///
/// # Errors
/// `file-fault` when something that is no socket is there, or the file system has none; nothing is left then.
pub fn listen(dir: &Path) -> Checked<(UnixListener, Bound)> {
    let folder =
        rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| fault(dir, errno))?;
    let (new, path) = (below(&folder, SOCKET_FILE_NEW), below(&folder, SOCKET_FILE));
    for name in [SOCKET_FILE, SOCKET_FILE_NEW] {
        let is_other = std::fs::symlink_metadata(below(&folder, name)).is_ok_and(|found| !is_socket(found.mode()));
        if is_other {
            return Err(fault(&dir.join(name), "found, and no socket; a socket or nothing expected"));
        }
    }
    // Where it stays, binding fails, and that is told.
    let _ = std::fs::remove_file(&new);
    let made = || -> Result<(UnixListener, (u64, u64)), std::io::Error> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(new.as_str())?)?;
        // Before anybody can connect.
        std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        rustix::net::listen(&socket, BACKLOG)?;
        let found = std::fs::symlink_metadata(&new)?;
        std::fs::rename(&new, &path)?;
        Ok((UnixListener::from(socket), (found.dev(), found.ino())))
    };
    match made() {
        Ok((listener, id)) => Ok((listener, Bound { folder, id })),
        Err(error) => {
            // What is told is why nobody can listen.
            let _ = std::fs::remove_file(&new);
            Err(fault(&dir.join(SOCKET_FILE), error))
        }
    }
}

fn is_socket(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Socket
}

/// What connecting came to.
pub enum Connected {
    /// Somebody listens.
    To(Channel),
    /// Nobody does: no socket, or one whose process has ended.
    ToNobody,
    /// Somebody does, and more wait than may.
    NotYet,
}

/// Connects to whoever listens in `dir`, following no link, and sees that it is a process of this user.
///
/// # Errors
/// `broker-message` when it is another user's; `file-fault`.
pub fn connect(dir: &Path) -> Checked<Connected> {
    let path = dir.join(SOCKET_FILE);
    let file = match rustix::fs::open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Connected::ToNobody),
        Err(errno) => return Err(fault(&path, errno)),
    };
    let found = rustix::fs::fstat(&file).map_err(|errno| fault(&path, errno))?;
    if !is_socket(found.st_mode) {
        return Ok(Connected::ToNobody);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let made = || -> Result<OwnedFd, Errno> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?)?;
        Ok(socket)
    };
    let stream = match made() {
        Ok(socket) => UnixStream::from(socket),
        // Not to be waited for in the kernel, where no bound is.
        Err(Errno::AGAIN) => return Ok(Connected::NotYet),
        Err(Errno::ACCESS | Errno::PERM) => {
            return Err(strangers(&path, found.st_uid));
        }
        Err(_) => return Ok(Connected::ToNobody),
    };
    stream.set_nonblocking(false).map_err(|error| fault(&path, error))?;
    let channel = Channel::of(stream);
    let ours = rustix::process::geteuid().as_raw();
    match channel.peer() {
        Some((uid, _)) if uid == ours && found.st_uid == ours => Ok(Connected::To(channel)),
        Some((uid, _)) if found.st_uid == ours => Err(strangers(&path, uid)),
        Some(_) => Err(strangers(&path, found.st_uid)),
        None => Ok(Connected::ToNobody),
    }
}

fn strangers(path: &Path, uid: u32) -> Fault {
    let ours = rustix::process::geteuid().as_raw();
    Fault::new(Rule::BrokerMessage, format!("{}: user {uid} listens there; user {ours}, who asks, expected", path.display()))
}

/// What came.
pub enum Received {
    /// A whole message, and how many bytes it had.
    Message(Message, usize),
    /// Nothing in the time that was given.
    Nothing,
    /// The other side has gone.
    End,
}

/// A connection: whole messages both ways, each within a bounded time.
pub struct Channel {
    stream: UnixStream,
    /// One message at a time goes out.
    sending: Mutex<()>,
}

impl Channel {
    /// Over a stream that blocks.
    pub fn of(stream: UnixStream) -> Channel {
        Channel { stream, sending: Mutex::new(()) }
    }

    /// User and process at the other side, as the kernel has them; `None` when it does not say.
    pub fn peer(&self) -> Option<(u32, u32)> {
        let found = rustix::net::sockopt::socket_peercred(&self.stream).ok()?;
        Some((found.uid.as_raw(), found.pid.as_raw_nonzero().get().unsigned_abs()))
    }

    /// Whether the other side still has its end: as long as it has, its process is the one that had it.
    pub fn stands(&self) -> bool {
        match rustix::net::recv(&self.stream, &mut [0_u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, came)) => came > 0,
            Err(errno) => errno == Errno::AGAIN,
        }
    }

    /// Sends a whole message.
    ///
    /// # Errors
    /// `request-bounds` before anything is sent; `None` in place of a fault when the other side has gone or takes nothing.
    pub fn send(&self, message: &Message, within: Duration) -> Result<(), Option<Fault>> {
        let bytes = wire::frame(message).map_err(Some)?;
        let _one = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let until = after(within);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let left = until.saturating_sub(monotonic_us());
            if left == 0 || self.stream.set_write_timeout(Some(Duration::from_micros(left))).is_err() {
                return Err(None);
            }
            match (&self.stream).write(rest) {
                Ok(0) => return Err(None),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_pause(error.kind()) => {}
                Err(_) => return Err(None),
            }
        }
        Ok(())
    }

    /// Sends a short message if it can be sent at once.
    pub fn send_at_once(&self, message: &Message) {
        let Ok(_one) = self.sending.try_lock() else { return };
        if let Ok(bytes) = wire::frame(message) {
            let _ = rustix::net::send(&self.stream, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }

    /// Waits for a message: `first` long for it to begin, and once it has begun, `rest` long for all of it. `room` is asked before a message
    /// of so many bytes is taken.
    ///
    /// # Errors
    /// `broker-message` when what comes is none, or does not come to its end.
    pub fn receive(&self, first: Duration, rest: Duration, room: impl FnOnce(usize) -> Checked<()>) -> Checked<Received> {
        let mut head = [0; 4];
        match self.fill(&mut head[..1], after(first)) {
            Filled::Whole => {}
            Filled::Late => return Ok(Received::Nothing),
            Filled::End => return Ok(Received::End),
        }
        let until = after(rest);
        let cut = |came: usize, of: usize| {
            Fault::new(
                Rule::BrokerMessage,
                format!("{came} bytes found of a message of {of}; all of them expected within {} ms", rest.as_millis()),
            )
        };
        match self.fill(&mut head[1..], until) {
            Filled::Whole => {}
            Filled::Late => return Err(cut(1, 4)),
            Filled::End => return Ok(Received::End),
        }
        let length = wire::length(head)?;
        room(length)?;
        let mut body = Vec::new();
        while body.len() < length {
            let had = body.len();
            body.resize(length.min(had + CHUNK_BYTES), 0);
            match self.fill(&mut body[had..], until) {
                Filled::Whole => {}
                Filled::Late => return Err(cut(had, length)),
                Filled::End => return Ok(Received::End),
            }
        }
        wire::parse(&body).map(|message| Received::Message(message, length))
    }

    fn fill(&self, mut into: &mut [u8], until: u64) -> Filled {
        while !into.is_empty() {
            let left = until.saturating_sub(monotonic_us());
            if left == 0 || self.stream.set_read_timeout(Some(Duration::from_micros(left))).is_err() {
                return Filled::Late;
            }
            match (&self.stream).read(into) {
                Ok(0) => return Filled::End,
                Ok(came) => into = &mut into[came..],
                Err(error) if is_pause(error.kind()) => {}
                Err(_) => return Filled::End,
            }
        }
        Filled::Whole
    }

    /// Takes nothing more from the other side; what is on its way to it still goes.
    pub fn hear_no_more(&self) {
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Read);
    }

    /// Ends the connection both ways.
    pub fn end(&self) {
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Both);
    }
}

/// What became of bytes that were waited for.
enum Filled {
    Whole,
    Late,
    End,
}

fn is_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The moment so long after now.
pub fn after(duration: Duration) -> u64 {
    monotonic_us().saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
