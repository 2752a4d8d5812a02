//! Process 1: from the kernel's first call to the operator's first page, and to the end of the power.
//!
//! `boot` is the whole order of effects, to be read aloud. What must hold and does not ends it with a page that says what was found; nothing
//! is tried again behind the operator's back, and nothing goes on without it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::console::page::{Event, Mark, Page};
use crate::console::{Console, Terminal, Wake};
use crate::core::rules::{Checked, Fault, Rule};
use crate::machine::data::{self, Candidate};
use crate::machine::hardening::{self, Fact, Standing};
use crate::machine::last_words::{LastWords, TERMINALS};
use crate::machine::mounts::{self, DATA, STICKS};
use crate::machine::power::{self, After};
use crate::machine::sticks::{Apart, Sticks};
use crate::machine::uevents::Uevents;
use crate::machine::{block, modules, probe, seccomp};

use super::boot_pages::{self, OFF};
use super::devices::Devices;
use super::{IDLE, Setting, Software, attend};

/// The program itself, in the image.
const PROGRAM: &str = "/tabellion";
/// Below the data partition: copies of what is on sticks, gone at each start.
const STAGING: &str = "staging";
/// So long no device may come or go before what is there counts as all there is.
const QUIET: Duration = Duration::from_secs(3);
/// So many times one may, in a row; then it counts all the same.
const RESTLESS_MAX: usize = 20;
/// How long a page of the start waits for a key before it is shown anew.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What process 1 does. It never returns: a kernel whose first process ends stops with a page of numbers.
pub fn first() -> ! {
    let last_words = LastWords {
        terminals: TERMINALS.map(PathBuf::from).into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        end: || power::end(After::Off),
    };
    last_words.clone().on_every_panic();
    match boot() {
        Ok(()) => power::end(After::Off),
        Err(fault) => last_words.say(&format!("[{}] {}", fault.rule.id(), fault.found), "the start"),
    }
}

/// From nothing to the operator, and back to nothing.
fn boot() -> Checked<()> {
    mounts::base()?;
    let mut start = Start::of(console(), serial());
    let started = machine(&mut start);
    let ended = started.and_then(|(uevents, software)| match ledger(&mut start, &uevents)? {
        Some(candidate) => desk(&mut start, uevents, software, &candidate),
        None => Ok(()),
    });
    if let Err(fault) = ended {
        start.mark(&format!("stopped {}", fault.rule.id()));
        start.until_off(&boot_pages::stopped(&fault));
    }
    start.mark("switching off");
    Ok(())
}

/// The kernel is as the image needs it, and takes nothing more.
fn machine(start: &mut Start) -> Checked<(Uevents, Software)> {
    power::no_restart_by_keys();
    let loaded = modules::load(Path::new(modules::FOLDER))?;
    start.done("modules", Mark::Good, &format!("{} drivers of this image are loaded", loaded.len()));
    mounts::efi_variables();
    let uevents = Uevents::listen()?;
    hardening::lock(Path::new("/"))?;
    let facts = hardening::verify(Path::new("/"), &loaded)?;
    start.facts(facts);
    let tried = seccomp::install()?;
    start.done("locked", Mark::Good, &tried);
    let software = software()?;
    start.facts(vec![against_the_manifest(&software)]);
    start.done("verified", Mark::Good, &format!("tabellion {} sha256 {}", software.version, software.digest));
    Ok((uevents, software))
}

/// The one disk with the ledger, mounted; `None` when the operator switches off instead.
fn ledger(start: &mut Start, uevents: &Uevents) -> Checked<Option<Candidate>> {
    start.mark("looking for the ledger");
    start.console.show(&boot_pages::looking(false));
    loop {
        settle(uevents);
        let found = data::candidates(Path::new("/sys"), Path::new("/dev"));
        let page = match found.as_slice() {
            [] => boot_pages::looking(true),
            [one] => match data::take(Path::new("/dev"), one) {
                Ok(()) => {
                    start.mark("ledger found");
                    return Ok(Some(one.clone()));
                }
                Err(trouble) => boot_pages::not_taken(&trouble, &one.device),
            },
            several => {
                boot_pages::several(&several.iter().map(|one| format!("{}: {}", one.device.name, one.device.says())).collect::<Vec<_>>())
            }
        };
        if start.asks(&page, uevents)? == Some(OFF) {
            return Ok(None);
        }
    }
}

/// Waits until no device came or went for a while.
fn settle(uevents: &Uevents) {
    let _ = (0..RESTLESS_MAX).find(|_| !uevents.wait(QUIET));
}

fn software() -> Checked<Software> {
    let unreadable = |error| Fault::new(Rule::MachineFault, format!("{PROGRAM}: {error}"));
    let mut hash = Sha256::new();
    std::io::copy(&mut File::open(PROGRAM).map_err(unreadable)?, &mut hash).map_err(unreadable)?;
    Ok(Software { version: env!("CARGO_PKG_VERSION").to_owned(), digest: hex::encode(hash.finalize()) })
}

/// Whether the image's own list of its inputs names this program.
fn against_the_manifest(software: &Software) -> Fact {
    let manifest = std::fs::read_to_string("/manifest").unwrap_or_default();
    let named = manifest.lines().find_map(|line| line.strip_prefix("program sha256:"));
    let (standing, says) = match named {
        Some(named) if named == software.digest => (Standing::Holds, "the program is the one that the image's manifest names".to_owned()),
        Some(named) => (Standing::Look, format!("the image's manifest names another program: sha256 {named}")),
        None => (Standing::Look, "the image has no manifest that names its program".to_owned()),
    };
    Fact { standing, says }
}

/// The desk on the data partition, until the operator is done.
fn desk(start: &mut Start, uevents: Uevents, software: Software, candidate: &Candidate) -> Checked<()> {
    prepare_staging()?;
    let mut apart = vec![Apart::disk_of(&candidate.device)];
    apart.extend(boot_disk());
    let waker = uevents.waker()?;
    let mut devices = Devices::new(Sticks::new(Path::new("/sys"), Path::new("/dev"), Path::new(STICKS), apart), uevents);
    start.mark("console");
    attend(Setting {
        console: &mut start.console,
        slots: &mut devices,
        wake: Wake::Descriptor(waker.as_fd()),
        data: PathBuf::from(DATA),
        facts: start.facts.clone(),
        software,
        is_rehearsal: false,
        idle: IDLE,
    });
    devices.close_all();
    Ok(())
}

/// Copies of what is on sticks are made on the ledger's disk, which has room; those of an earlier start are gone.
fn prepare_staging() -> Checked<()> {
    let folder = Path::new(DATA).join(STAGING);
    let failed = |error: std::io::Error| Fault::new(Rule::DiskFault, format!("{}: {error}", folder.display()));
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => std::fs::create_dir(&folder).map_err(failed)?,
    }
    tempfile::env::override_temp_dir(&folder).map_err(|other| {
        Fault::new(Rule::InternalFault, format!("copies go to {} already; {} expected", other.display(), folder.display()))
    })
}

/// The disk that this machine was started from, when its boot loader left word of it and it is still there.
fn boot_disk() -> Option<Apart> {
    let id = hardening::boot_part(Path::new("/"))?;
    let devices = block::devices(Path::new("/sys"));
    let is_it = |part: &block::Part, disk: &str| {
        let head = probe::head(&block::node(Path::new("/dev"), disk)).unwrap_or_default();
        probe::part_id(&head, part.number).as_deref() == Some(id.as_str())
    };
    devices.iter().find(|device| device.part.as_ref().is_some_and(|part| is_it(part, &device.disk))).map(Apart::disk_of)
}

/// The terminals of this machine: its screen, and a serial line where there is one.
fn console() -> Console {
    let both = |path: &str| {
        let open = || File::options().read(true).write(true).open(path).ok();
        Some((open()?, open()?))
    };
    let [screen, line] = TERMINALS;
    let screen = both(screen).map(|(input, output)| Terminal::screen(input, output));
    let line = both(line).filter(|(input, _)| is_there(input)).map(|(input, output)| Terminal::lines(input, output));
    Console::of(screen.into_iter().chain(line).collect())
}

/// The kernel makes a node for a serial line that is not there; it has no settings then.
fn is_there(line: &File) -> bool {
    rustix::termios::tcgetattr(line).is_ok()
}

fn serial() -> Option<File> {
    let line = File::options().write(true).open(TERMINALS[1]).ok()?;
    is_there(&line).then_some(line)
}

/// The console while it starts, and what was told so far.
struct Start {
    console: Console,
    serial: Option<File>,
    facts: Vec<(Mark, String)>,
}

impl Start {
    fn of(console: Console, serial: Option<File>) -> Start {
        let mut start = Start { console, serial, facts: Vec::new() };
        start.mark("started");
        start.console.show(&boot_pages::starting(&start.facts));
        start
    }

    /// A line on the serial line alone, for whoever watches a start from outside.
    fn mark(&mut self, step: &str) {
        if let Some(serial) = &mut self.serial {
            let _ = serial.write_all(format!("\r\ntabellion: boot: {step}\r\n").as_bytes());
        }
    }

    fn done(&mut self, step: &str, mark: Mark, says: &str) {
        self.mark(step);
        self.facts.push((mark, says.to_owned()));
        self.console.show(&boot_pages::starting(&self.facts));
    }

    fn facts(&mut self, facts: Vec<Fact>) {
        let marked = facts.into_iter().map(|fact| match fact.standing {
            Standing::Holds => (Mark::Good, fact.says),
            Standing::Look => (Mark::Look, fact.says),
        });
        self.facts.extend(marked);
    }

    /// Shows a page until a key of it is pressed, or a device comes or goes: `None` then.
    fn asks(&mut self, page: &Page, uevents: &Uevents) -> Checked<Option<char>> {
        let waker = uevents.waker()?;
        match self.console.ask(page, Wake::Descriptor(waker.as_fd()), PATIENCE) {
            Event::Chosen(key) => Ok(Some(key)),
            // Without any terminal there is still a disk to be waited for.
            Event::Closed => {
                uevents.wait(PATIENCE);
                Ok(None)
            }
            Event::Typed(_) | Event::Left | Event::Sticks | Event::Idle => Ok(None),
        }
    }

    /// Shows a page until the operator switches off.
    fn until_off(&mut self, page: &Page) {
        while !matches!(self.console.ask(page, Wake::Never, PATIENCE), Event::Chosen(OFF) | Event::Closed) {}
    }
}
