//! From the bytes of a terminal to keys: sequences may come in pieces, a lone Escape is known by what does not follow it, and noise is nothing.
//!
//! Bytes of a serial line can be anything at any time. Each sequence is framed here first and compared with those few that mean something; the
//! parser of termion ends the program at some that no terminal sends (`ESC [ <`, `ESC [ 9 9 9 ~`), and the first process must never end.

use zeroize::{Zeroize as _, Zeroizing};

/// Bytes held that are not read as keys yet; what comes above it is dropped. Nobody types that far ahead.
const HELD_BYTES_MAX: usize = 4096;
/// Bytes of a control sequence; a longer one is noise.
const SEQUENCE_BYTES_MAX: usize = 24;

/// How long what has begun waits for its rest: a lone Escape is known by what does not follow it.
const REST_US: u64 = 100_000;

/// A key that means something to the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter, digit or sign.
    Char(char),
    /// Enter.
    Enter,
    /// Backspace or Delete.
    Back,
    /// Tab.
    Tab,
    /// Escape, or Ctrl-C.
    Escape,
    /// Page Up or the arrow up.
    Earlier,
    /// Page Down or the arrow down.
    Later,
    /// Ctrl-U: the typed line anew.
    Anew,
    /// Ctrl-L: the screen anew.
    Repaint,
}

/// What the first bytes held are.
enum Found {
    /// A key of so many bytes.
    Key(Key, usize),
    /// So many bytes that mean nothing.
    Noise(usize),
    /// The beginning of something.
    Begun,
}

/// The bytes of one terminal that are no keys yet; wiped when they are.
pub(super) struct Keys {
    held: Zeroizing<Vec<u8>>,
    /// Enter came as a carriage return: a newline behind it is the same Enter.
    is_after_return: bool,
    /// Microseconds since the last bytes came, as far as somebody waited for more.
    quiet_us: u64,
}

impl Keys {
    /// No bytes yet.
    pub(super) fn new() -> Keys {
        Keys { held: Zeroizing::new(Vec::with_capacity(HELD_BYTES_MAX)), is_after_return: false, quiet_us: 0 }
    }

    /// Bytes as they were read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let room = HELD_BYTES_MAX - self.held.len();
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.quiet_us = 0;
    }

    /// Whether the beginning of a key is held.
    pub(super) fn is_begun(&self) -> bool {
        !self.held.is_empty()
    }

    /// Nothing came for so long.
    pub(super) fn quiet(&mut self, us: u64) {
        self.quiet_us = self.quiet_us.saturating_add(us);
    }

    /// How long it is still worth to wait for the rest of what has begun, in microseconds; none when nothing has.
    pub(super) fn rest_us(&self) -> Option<u64> {
        self.is_begun().then(|| REST_US.saturating_sub(self.quiet_us))
    }

    /// All that is held is forgotten.
    pub(super) fn forget(&mut self) {
        self.consume(self.held.len());
    }

    /// This key is forgotten as often as it comes next.
    pub(super) fn forget_repeated(&mut self, key: Key) {
        while let Some(&first) = self.held.first() {
            let is_same_enter = self.is_after_return && first == b'\n';
            let bytes = match scan(&self.held) {
                _ if is_same_enter => 1,
                Found::Key(next, bytes) if next == key => bytes,
                _ => return,
            };
            self.is_after_return = first == b'\r';
            self.consume(bytes);
        }
    }

    /// The next whole key. When nothing more comes to what has begun, because it is late or the terminal is gone, Escape alone is a key and half
    /// a sequence is noise.
    pub(super) fn next(&mut self, is_gone: bool) -> Option<Key> {
        let is_late = is_gone || self.quiet_us >= REST_US;
        loop {
            let first = *self.held.first()?;
            let is_same_enter = self.is_after_return && first == b'\n';
            self.is_after_return = first == b'\r';
            let found = if is_same_enter { Found::Noise(1) } else { scan(&self.held) };
            match found {
                Found::Key(key, bytes) => {
                    self.consume(bytes);
                    return Some(key);
                }
                Found::Noise(bytes) => self.consume(bytes),
                Found::Begun if !is_late => return None,
                Found::Begun if first == 0x1b && self.held.len() == 1 => {
                    self.consume(1);
                    return Some(Key::Escape);
                }
                Found::Begun => self.forget(),
            }
        }
    }

    /// The first bytes are read: the others move up, and no copy of them stays behind.
    fn consume(&mut self, bytes: usize) {
        let left = self.held.len().saturating_sub(bytes);
        self.held.copy_within(bytes.., 0);
        self.held[left..].zeroize();
        self.held.truncate(left);
    }
}

fn scan(held: &[u8]) -> Found {
    match held[0] {
        b'\r' | b'\n' => Found::Key(Key::Enter, 1),
        b'\t' => Found::Key(Key::Tab, 1),
        0x08 | 0x7f => Found::Key(Key::Back, 1),
        0x03 => Found::Key(Key::Escape, 1),
        0x0c => Found::Key(Key::Repaint, 1),
        0x15 => Found::Key(Key::Anew, 1),
        0x1b => escape(held),
        b' '..=b'~' => Found::Key(Key::Char(char::from(held[0])), 1),
        0xc2..=0xf4 => letter(held),
        _ => Found::Noise(1),
    }
}

/// A letter of several bytes of UTF-8.
fn letter(held: &[u8]) -> Found {
    let wanted = match held[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let has = wanted.min(held.len());
    match std::str::from_utf8(&held[..has]) {
        Ok(text) => text.chars().next().filter(|c| !c.is_control()).map_or(Found::Noise(wanted), |c| Found::Key(Key::Char(c), wanted)),
        Err(error) if error.error_len().is_none() => Found::Begun,
        Err(_) => Found::Noise(1),
    }
}

/// What begins with Escape: a sequence, or the key itself and something behind it.
fn escape(held: &[u8]) -> Found {
    match held.get(1) {
        None => Found::Begun,
        Some(b'[') => control(held),
        Some(b'O') if held.len() == 2 => Found::Begun,
        Some(b'O') if held[2] == b'M' => Found::Key(Key::Enter, 3),
        Some(b'O') => known(held[2], &[], 3),
        Some(_) => Found::Key(Key::Escape, 1),
    }
}

/// `ESC [`, numbers, and a last byte that says what it is; the kernel's own F1 to F5 are `ESC [ [ A` to `E`.
fn control(held: &[u8]) -> Found {
    if held.get(2) == Some(&b'[') {
        return if held.len() > 3 { Found::Noise(4) } else { Found::Begun };
    }
    let numbers = held[2..].iter().take_while(|byte| (b' '..=b'?').contains(byte)).count();
    if numbers > SEQUENCE_BYTES_MAX {
        return Found::Noise(2 + numbers);
    }
    match held.get(2 + numbers) {
        None => Found::Begun,
        Some(last @ b'@'..=b'~') => known(*last, &held[2..2 + numbers], 3 + numbers),
        Some(_) => Found::Noise(2 + numbers),
    }
}

/// A whole sequence by its last byte and its numbers.
fn known(last: u8, numbers: &[u8], bytes: usize) -> Found {
    match (last, numbers) {
        (b'A', _) | (b'~', b"5") => Found::Key(Key::Earlier, bytes),
        (b'B', _) | (b'~', b"6") => Found::Key(Key::Later, bytes),
        (b'~', b"3") => Found::Key(Key::Back, bytes),
        _ => Found::Noise(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(keys: &mut Keys, is_late: bool) -> Vec<Key> {
        std::iter::from_fn(|| keys.next(is_late)).collect()
    }

    fn typed(pieces: &[&[u8]]) -> Vec<Key> {
        let (mut keys, mut out) = (Keys::new(), Vec::new());
        for piece in pieces {
            keys.feed(piece);
            out.extend(all(&mut keys, false));
        }
        out.extend(all(&mut keys, true));
        assert!(!keys.is_begun());
        out
    }

    #[test]
    fn each_key_is_read_whole_and_in_any_pieces_alike() {
        let cases: [(&[u8], &[Key]); 12] = [
            (b"a7 ~", &[Key::Char('a'), Key::Char('7'), Key::Char(' '), Key::Char('~')]),
            (b"\r", &[Key::Enter]),
            (b"\n\n", &[Key::Enter, Key::Enter]),
            (b"\r\n\r\n\x1bOM", &[Key::Enter, Key::Enter, Key::Enter]),
            (b"\x7f\x08\x1b[3~", &[Key::Back, Key::Back, Key::Back]),
            (b"\t\x15\x0c\x03", &[Key::Tab, Key::Anew, Key::Repaint, Key::Escape]),
            (b"\x1b[5~\x1b[6~", &[Key::Earlier, Key::Later]),
            (b"\x1b[A\x1bOB\x1b[1;5A", &[Key::Earlier, Key::Later, Key::Earlier]),
            ("ü日🙂".as_bytes(), &[Key::Char('ü'), Key::Char('日'), Key::Char('🙂')]),
            (b"\x1b\x1b", &[Key::Escape, Key::Escape]),
            (b"\x1bn", &[Key::Escape, Key::Char('n')]),
            (b"\x1b[[A\x1b[15~\x1b[200~x", &[Key::Char('x')]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(typed(&[bytes]), expected, "{bytes:?}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(typed(&single), expected, "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn a_lone_escape_is_a_key_only_when_nothing_follows() {
        let mut keys = Keys::new();
        keys.feed(b"\x1b");
        assert_eq!((keys.next(false), keys.is_begun()), (None, true));
        keys.feed(b"[6");
        assert_eq!(keys.next(false), None);
        keys.feed(b"~");
        assert_eq!((keys.next(false), keys.is_begun()), (Some(Key::Later), false));
        keys.feed(b"\x1b");
        keys.quiet(REST_US - 1);
        assert_eq!((keys.next(false), keys.rest_us()), (None, Some(1)));
        keys.quiet(1);
        assert_eq!((keys.next(false), keys.rest_us()), (Some(Key::Escape), None));
        keys.feed(b"\x1b[");
        assert_eq!((keys.next(false), keys.rest_us()), (None, Some(REST_US)), "what comes is not late any more");
    }

    #[test]
    fn what_repeats_a_key_is_forgotten_up_to_the_next_other_one() {
        for (bytes, key, left) in [
            (&b"\r\n\r\n\r\nsx"[..], Key::Enter, &[Key::Char('s'), Key::Char('x')][..]),
            (b"\n\n\n", Key::Enter, &[]),
            (b"\n\nx\n", Key::Enter, &[Key::Char('x'), Key::Enter]),
            (b"sssS", Key::Char('s'), &[Key::Char('S')]),
            (b"\x1b[6~\x1b[6~x", Key::Later, &[Key::Char('x')]),
        ] {
            let mut keys = Keys::new();
            keys.feed(bytes);
            assert_eq!(keys.next(false), Some(key));
            keys.forget_repeated(key);
            assert_eq!(all(&mut keys, true), left, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_keys_are_dropped_and_end_nothing() {
        for noise in [
            &b"\x1b[<"[..],
            b"\x1b[999~",
            b"\x1b[M",
            b"\x1b[1;2;3;4;5M",
            b"\x1b[",
            b"\x1bO",
            b"\xff\xfe\x80",
            b"\xc3",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xc2\x9b",
            b"\0\x01",
        ] {
            let found = typed(&[noise]);
            assert!(found.is_empty(), "{noise:?}: {found:?}");
        }
        let mut long = b"\x1b[".to_vec();
        long.extend([b'1'; 4000]);
        long.extend(b"~x");
        assert_eq!(typed(&[&long]), [Key::Char('~'), Key::Char('x')]);
    }

    #[test]
    fn any_bytes_are_read_without_end_of_the_program() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let likely = b"\x1b[O<M~;0159\xc3\xe2\r\n";
        for _ in 0..3000 {
            let mut keys = Keys::new();
            for _ in 0..random.usize(1..12) {
                let piece: Vec<u8> = (0..random.usize(1..9))
                    .map(|_| if random.bool() { likely[random.usize(..likely.len())] } else { random.u8(..) })
                    .collect();
                keys.feed(&piece);
                all(&mut keys, random.bool());
            }
            all(&mut keys, true);
            assert!(!keys.is_begun());
        }
    }

    #[test]
    fn more_than_anybody_types_ahead_is_dropped_and_nothing_read_stays_behind() {
        let mut keys = Keys::new();
        keys.feed(&[b'x'; HELD_BYTES_MAX + 100]);
        assert_eq!(all(&mut keys, false).len(), HELD_BYTES_MAX);
        let capacity = keys.held.capacity();
        assert_eq!(capacity, HELD_BYTES_MAX, "the buffer never moved");
        keys.held.resize(capacity, 1);
        keys.forget();
        assert!(keys.held.is_empty());
    }
}
