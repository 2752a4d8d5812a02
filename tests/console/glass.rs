//! What a test needs of terminals: pipes, a terminal of our own, and a screen that understands just what the console may send.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The end to read, and the end to write.
pub fn pipe() -> (File, File) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    (File::from(read), File::from(write))
}

/// What can be read now, without waiting for more.
pub fn read_all(file: &mut File) -> String {
    let flags = rustix::fs::fcntl_getfl(&*file).unwrap();
    rustix::fs::fcntl_setfl(&*file, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let (mut out, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = file.read(&mut piece) {
        out.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(out).expect("whole letters")
}

/// A terminal: `master` is the wire, `user` what a program sees.
pub struct Pty {
    pub master: File,
    pub user: File,
}

impl Pty {
    pub fn new(columns: u16, rows: u16) -> Pty {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let user = rustix::fs::open(&*name, flags, rustix::fs::Mode::empty()).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        Pty { master: File::from(master), user: File::from(user) }
    }
}

/// A screen in memory.
pub struct Glass {
    wire: File,
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    is_cursor_shown: bool,
}

impl Glass {
    /// The screen, and what to write to.
    pub fn new(columns: usize, rows: usize) -> (Glass, File) {
        let (wire, write) = pipe();
        (Glass::of(wire, columns, rows), write)
    }

    pub fn of(wire: File, columns: usize, rows: usize) -> Glass {
        Glass { wire, cells: vec![vec![' '; columns]; rows], at: (0, 0), is_cursor_shown: true }
    }

    /// Column and row of the cursor, when it is seen.
    pub fn cursor(&self) -> Option<(usize, usize)> {
        self.is_cursor_shown.then_some(self.at)
    }

    /// What is on it, once all that was sent is drawn. Anything that the console has no reason to send is a fault.
    pub fn text(&mut self) -> String {
        let sent = read_all(&mut self.wire);
        let mut rest = sent.as_str();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match rest.strip_prefix('[').filter(|_| c == '\u{1b}') {
                Some(sequence) => {
                    let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    self.control(&sequence[..end], sequence.as_bytes()[end]);
                    rest = &sequence[end + 1..];
                }
                None => self.put(c),
            }
        }
        self.cells.iter().map(|row| row.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
    }

    fn put(&mut self, c: char) {
        assert!(!c.is_control(), "{c:?} was sent");
        self.cells[self.at.1][self.at.0] = c;
        self.at.0 += 1;
    }

    fn control(&mut self, numbers: &str, what: u8) {
        match (what, numbers) {
            (b'H', _) => {
                let (row, column) = numbers.split_once(';').unwrap();
                self.at = (column.parse::<usize>().unwrap() - 1, row.parse::<usize>().unwrap() - 1);
            }
            (b'J', "2") => self.cells.iter_mut().for_each(|row| row.fill(' ')),
            (b'h' | b'l', "?25") => self.is_cursor_shown = what == b'h',
            (b'h' | b'l', "?1049") | (b'm', _) => {}
            _ => panic!("ESC [ {numbers} {} was sent", char::from(what)),
        }
    }
}
