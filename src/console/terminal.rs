//! One terminal: its keys, what is written to it, and the state that it had before.
//!
//! A terminal may be stuck (a serial line that nobody reads) or gone. Writing never waits longer than [`WAIT_MS`] and never ends the console:
//! what does not go out stays in a bounded buffer, and a terminal that was cut off is drawn anew when it takes bytes again.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use ratatui::termion::{clear, cursor, screen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
use rustix::termios::{isatty, tcflush, tcgetattr, tcgetwinsize, tcsetattr};
use zeroize::{Zeroize as _, Zeroizing};

use super::draw::{self, View};
use super::key::{Key, Keys};
use super::page::Page;
use super::plain::Heard;
use super::screen::Painter;

/// Bytes that wait for a terminal to take them.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// How long a page waits for a slow terminal, once; a terminal that is slower is written to when it is ready.
const WAIT_MS: i64 = 300;

/// Where pages are shown and keys come from.
pub struct Terminal {
    pub(super) keys: Keys,
    input: Option<File>,
    out: Outbox,
    form: Form,
    /// What the input was set to before.
    before: Option<Termios>,
}

/// How pages are shown.
enum Form {
    Screen(Painter),
    Lines(Heard),
}

impl Terminal {
    /// A screen of at least a few rows and columns, drawn on with control sequences.
    #[must_use]
    pub fn screen(input: File, output: File) -> Terminal {
        let mut terminal = Terminal::of(input, output, Form::Screen(Painter::new()));
        terminal.out.send(format!("{}{}{}", screen::ToAlternateScreen, cursor::Hide, clear::All).as_bytes());
        terminal
    }

    /// A serial line, or whatever takes plain lines.
    #[must_use]
    pub fn lines(input: File, output: File) -> Terminal {
        Terminal::of(input, output, Form::Lines(Heard::default()))
    }

    fn of(input: File, output: File, form: Form) -> Terminal {
        let before = raw(&input);
        Terminal { keys: Keys::new(), input: Some(input), out: Outbox::of(output), form, before }
    }

    /// Where keys come from; none when it is gone.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(AsFd::as_fd)
    }

    /// Where bytes wait to be written; none when none do.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.out.file.as_ref().filter(|_| !self.out.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// Whether it is written to line by line.
    pub(super) fn is_lines(&self) -> bool {
        matches!(self.form, Form::Lines(_))
    }

    /// Reads what is there. The end of the input, or an error of it, is the end of its keys.
    pub(super) fn read(&mut self) {
        let mut bytes = Zeroizing::new([0_u8; 256]);
        match self.input().map(|input| rustix::io::read(input, &mut bytes[..])) {
            Some(Ok(count)) if count > 0 => self.keys.feed(&bytes[..count]),
            Some(Err(Errno::AGAIN | Errno::INTR)) => {}
            _ => self.input = None,
        }
    }

    /// Forgets the keys that were pressed while nothing asked for them. What comes through a pipe was written by a program, which waits or means it.
    pub(super) fn forget_keys(&mut self) {
        if let Some(input) = self.input.as_ref().filter(|input| isatty(input)) {
            tcflush(input, QueueSelector::IFlush).unwrap_or_default(); // a terminal that is gone has no keys
            self.keys.forget();
        }
    }

    /// Whether its keys come from a keyboard that stands before its screen.
    pub(super) fn is_keyboard(&self) -> bool {
        !self.is_lines() && self.input.as_ref().is_some_and(isatty)
    }

    /// Forgets the same key where it came right behind itself, in one piece; from a terminal alone.
    pub(super) fn forget_repeated(&mut self, key: Key) {
        if self.input.as_ref().is_some_and(isatty) {
            self.keys.forget_repeated(key);
        }
    }

    /// Shows a page as it stands; with `is_asked` keys are awaited.
    pub(super) fn show(&mut self, page: &Page, view: &View<'_>, is_asked: bool) {
        if self.out.is_cut_off() {
            return;
        }
        let bytes = match &mut self.form {
            Form::Lines(heard) => Zeroizing::new(heard.page(page, is_asked.then_some(view.typed)).into_bytes()),
            Form::Screen(painter) => painter.paint(page, view, size(self.out.file.as_ref())),
        };
        self.out.send(&bytes);
    }

    /// Bytes behind what stands on the current line of a terminal of lines: the echo of a key.
    pub(super) fn echo(&mut self, text: &str) {
        if self.is_lines() {
            self.out.send(text.as_bytes());
        }
    }

    /// The prompt of a terminal of lines again.
    pub(super) fn prompt(&mut self, page: &Page, typed: &str) {
        if let Form::Lines(heard) = &mut self.form {
            let text = Zeroizing::new(heard.prompt(page, typed));
            self.out.send(text.as_bytes());
        }
    }

    /// A key was answered to: the line of a terminal of lines ends.
    pub(super) fn answered(&mut self, name: &str) {
        if let Form::Lines(heard) = &mut self.form {
            let text = heard.answered(name);
            self.out.send(text.as_bytes());
        }
    }

    /// Draws everything anew the next time: after the terminal missed something, or because somebody wants it.
    pub(super) fn forget_shown(&mut self) {
        match &mut self.form {
            Form::Lines(heard) => heard.forget(),
            Form::Screen(painter) => painter.forget(),
        }
    }

    /// Writes what waits, as far as it goes. True when the terminal was cut off and can be drawn on again.
    pub(super) fn write_waiting(&mut self) -> bool {
        self.out.write();
        let is_back = self.out.is_cut_off && self.out.waiting.is_empty();
        self.out.is_cut_off &= !is_back;
        is_back
    }

    /// How many pages the screen needs for what it shows; 1 on a serial line, which says all at once.
    pub(super) fn pages(&self, page: &Page) -> usize {
        match &self.form {
            Form::Lines(_) => 1,
            Form::Screen(_) => draw::pages(page, size(self.out.file.as_ref())),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Form::Screen(_) = self.form {
            self.out.send(format!("{}{}{}", clear::All, cursor::Show, screen::ToMainScreen).as_bytes());
        }
        if let Some((input, before)) = self.input.as_ref().zip(self.before.as_ref()) {
            tcsetattr(input, OptionalActions::Now, before).unwrap_or_default(); // nobody is left to tell
        }
    }
}

/// Columns and rows of the screen; those of the smallest terminal when it does not say.
fn size(output: Option<&File>) -> (u16, u16) {
    let said = output.and_then(|output| tcgetwinsize(output).ok()).filter(|size| size.ws_col > 0 && size.ws_row > 0);
    said.map_or((draw::COLUMNS, draw::ROWS), |size| (size.ws_col, size.ws_row))
}

/// Each byte as it is typed, without echo and signals; a carrier that comes and goes is nothing. Output stays as it is, so that a newline is one.
fn raw(input: &File) -> Option<Termios> {
    let before = tcgetattr(input).ok()?;
    let mut now = before.clone();
    now.input_modes &= !(InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR | InputModes::IXON | InputModes::IXOFF);
    now.input_modes &= !(InputModes::ISTRIP | InputModes::PARMRK | InputModes::INPCK);
    now.input_modes |= InputModes::IGNBRK;
    now.local_modes &= !(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
    now.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    now.special_codes[SpecialCodeIndex::VMIN] = 1;
    now.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(input, OptionalActions::Now, &now).ok()?;
    Some(before)
}

/// What goes to a terminal, at its own pace.
struct Outbox {
    file: Option<File>,
    /// The flags that the file had before; it must not wait.
    before: Option<OFlags>,
    waiting: Zeroizing<Vec<u8>>,
    /// Whether it did not take everything within [`WAIT_MS`]: it is waited for again when it did.
    is_slow: bool,
    /// Whether something was thrown away for want of room.
    is_cut_off: bool,
}

impl Outbox {
    fn of(file: File) -> Outbox {
        let before = fcntl_getfl(&file).ok();
        let is_set = before.is_some_and(|flags| fcntl_setfl(&file, flags | OFlags::NONBLOCK).is_ok());
        let waiting = Zeroizing::new(Vec::with_capacity(WAITING_BYTES_MAX));
        // A file that may make us wait for ever is not written to at all.
        Outbox { file: is_set.then_some(file), before, waiting, is_slow: false, is_cut_off: false }
    }

    fn is_cut_off(&mut self) -> bool {
        self.is_cut_off && !self.waiting.is_empty()
    }

    /// Sends bytes behind those that wait; all or nothing of them.
    fn send(&mut self, bytes: &[u8]) {
        if self.file.is_none() {
            return;
        }
        if self.waiting.len() + bytes.len() > WAITING_BYTES_MAX {
            self.is_cut_off = true;
            return;
        }
        self.waiting.extend_from_slice(bytes);
        self.write();
        if !self.waiting.is_empty() && !self.is_slow {
            self.wait();
        }
    }

    /// Waits once, and not for long, for a terminal that is merely slow.
    fn wait(&mut self) {
        for _ in 0..WAIT_MS / 20 {
            let Some(file) = self.file.as_ref().filter(|_| !self.waiting.is_empty()) else { return };
            let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout)).unwrap_or_default(); // what is not ready is not written to
            self.write();
        }
        self.is_slow = !self.waiting.is_empty();
    }

    /// Writes as much as the terminal takes now.
    fn write(&mut self) {
        while let Some(file) = self.file.as_ref().filter(|_| !self.waiting.is_empty()) {
            match rustix::io::write(file, &self.waiting) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Ok(count) => {
                    let left = self.waiting.len() - count;
                    self.waiting.copy_within(count.., 0);
                    self.waiting[left..].zeroize();
                    self.waiting.truncate(left);
                }
                Err(_) => {
                    self.waiting.zeroize();
                    self.file = None;
                }
            }
        }
        self.is_slow = false;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some((file, before)) = self.file.as_ref().zip(self.before) {
            fcntl_setfl(file, before).unwrap_or_default(); // nobody is left to tell
        }
    }
}
