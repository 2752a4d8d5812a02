//! Gate one of SPEC 1.2: walks the bytes of one item without allocating, and stops at the first that the one form does not allow.

use crate::core::limits::CBOR_DEPTH_MAX;
use crate::core::rules::{Checked, Fault, Rule};

/// Length of the one deterministic item that `bytes` begin with, or `None` when they end before it does.
pub(super) fn item(bytes: &[u8]) -> Checked<Option<usize>> {
    Walk { bytes, at: 0, frames: [Frame::EMPTY; CBOR_DEPTH_MAX], depth: 0 }.item()
}

pub(super) fn form(offset: usize, reason: &str) -> Fault {
    Fault::new(Rule::CborForm, format!("offset {offset}: {reason}"))
}

#[derive(Clone, Copy)]
struct Frame {
    left: u64,
    map: bool,
    key_next: bool,
    last_key: Option<u64>,
}

impl Frame {
    const EMPTY: Frame = Frame { left: 0, map: false, key_next: false, last_key: None };
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    frames: [Frame; CBOR_DEPTH_MAX],
    depth: usize,
}

impl Walk<'_> {
    fn item(mut self) -> Checked<Option<usize>> {
        loop {
            let start = self.at;
            let Some((major, value)) = self.head()? else { return Ok(None) };
            self.count_in_parent(start, major, value)?;
            match major {
                0 | 1 => {}
                2 | 3 => {
                    let end = usize::try_from(value).ok().and_then(|len| self.at.checked_add(len));
                    let Some(end) = end.filter(|&end| end <= self.bytes.len()) else { return Ok(None) };
                    if major == 3 && std::str::from_utf8(&self.bytes[self.at..end]).is_err() {
                        return Err(form(start, "text is not UTF-8"));
                    }
                    self.at = end;
                }
                4 => self.open(start, value, false)?,
                5 => {
                    let items = value.checked_mul(2).ok_or_else(|| form(start, "map length overflows"))?;
                    self.open(start, items, true)?;
                }
                6 if value == 98 || value == 55799 => self.open(start, 1, false)?,
                6 => return Err(form(start, &format!("tag {value} is not allowed"))),
                _ if value == 20 || value == 21 => {}
                _ => return Err(form(start, "floats and simple values other than false and true are not allowed")),
            }
            while self.depth > 0 && self.frames[self.depth - 1].left == 0 {
                self.depth -= 1;
            }
            if self.depth == 0 {
                return Ok(Some(self.at));
            }
        }
    }

    /// Major type and argument at the cursor, shortest form enforced.
    fn head(&mut self) -> Checked<Option<(u8, u64)>> {
        let start = self.at;
        let Some(&first) = self.bytes.get(start) else { return Ok(None) };
        let (major, info) = (first >> 5, first & 0x1f);
        let width = match info {
            0..=23 => 0,
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 => return Err(form(start, "indefinite length")),
            _ => return Err(form(start, "reserved length")),
        };
        let Some(argument) = self.bytes.get(start + 1..start + 1 + width) else { return Ok(None) };
        let value = if width == 0 { u64::from(info) } else { argument.iter().fold(0, |v, &b| v << 8 | u64::from(b)) };
        let least = match width {
            0 => 0,
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if major == 7 && width > 0 {
            return Err(form(start, "floats and simple values other than false and true are not allowed"));
        }
        if value < least {
            return Err(form(start, "integer or length is not in its shortest form"));
        }
        self.at = start + 1 + width;
        Ok(Some((major, value)))
    }

    fn count_in_parent(&mut self, start: usize, major: u8, value: u64) -> Checked<()> {
        if self.depth == 0 {
            return Ok(());
        }
        let frame = &mut self.frames[self.depth - 1];
        frame.left -= 1;
        if frame.map && frame.key_next {
            if major != 0 {
                return Err(form(start, "a map key is not an unsigned integer"));
            }
            if frame.last_key.is_some_and(|last| last >= value) {
                return Err(form(start, &format!("map key {value} is not above the key before it")));
            }
            frame.last_key = Some(value);
        }
        frame.key_next = frame.map && !frame.key_next;
        Ok(())
    }

    fn open(&mut self, start: usize, items: u64, map: bool) -> Checked<()> {
        if self.depth == CBOR_DEPTH_MAX {
            return Err(Fault::new(Rule::CborDepth, format!("offset {start}: deeper than {CBOR_DEPTH_MAX}")));
        }
        self.frames[self.depth] = Frame { left: items, map, key_next: map, last_key: None };
        self.depth += 1;
        Ok(())
    }
}
