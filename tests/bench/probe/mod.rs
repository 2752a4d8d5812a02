//! How the benches measure: rounds in which every contender runs once, medians, time of the processor beside time on the wall, the load of
//! the machine, the memory at its highest, and each result beside the raw bound of the same run.
//!
//! `#[path = "probe/mod.rs"] mod probe;` in a bench. Nothing here judges a time. Memory may be judged, and then the bench fails.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each bench uses a part of it

pub mod flat;
pub mod git;
pub mod scene;

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What the command line asks for; `cargo bench --bench NAME -- --events 1000,100000 --rounds 7`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sizes of the ledgers, in events.
    pub events: Vec<u64>,
    /// How often each contender runs, alternating.
    pub rounds: usize,
    /// What this process does instead, when it is a child that another bench started.
    pub child: Option<Vec<String>>,
}

impl Options {
    /// Reads the arguments; `cargo bench` adds `--bench`.
    pub fn read(default_events: &[u64]) -> Options {
        let mut options = Options { events: default_events.to_vec(), rounds: 5, child: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value"));
            match argument.as_str() {
                "--events" => options.events = value().split(',').map(|size| size.parse().expect("a number of events")).collect(),
                "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
                "--child" => options.child = Some(arguments.by_ref().collect()),
                "--bench" | "--test" => {}
                other => panic!("{other:?} found; --events N,N,… or --rounds N expected"),
            }
        }
        assert!(options.rounds > 0, "0 rounds found; at least 1 expected");
        options
    }
}

/// Time on the wall and time of the processor, of all threads of this process.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub wall: Duration,
    pub cpu: Duration,
}

impl Spent {
    pub const NOTHING: Spent = Spent { wall: Duration::ZERO, cpu: Duration::ZERO };

    /// Since some beginning that is the same for all.
    pub fn so_far() -> Spent {
        let [wall, cpu] = [ClockId::Monotonic, ClockId::ProcessCPUTime].map(|clock| {
            let time = clock_gettime(clock);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        });
        Spent { wall, cpu }
    }

    pub fn since(&self, earlier: &Spent) -> Spent {
        Spent { wall: self.wall - earlier.wall, cpu: self.cpu - earlier.cpu }
    }

    pub fn plus(&self, other: &Spent) -> Spent {
        Spent { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// Runs `work` once and says what it took.
pub fn spent<T>(work: impl FnOnce() -> T) -> (Spent, T) {
    let began = Spent::so_far();
    let done = work();
    (Spent::so_far().since(&began), done)
}

/// One thing that is measured. `work` answers with what was spent, so that it can prepare itself unmeasured; see [`spent`].
pub struct Contender<'a> {
    pub name: String,
    /// How many units one run of `work` does.
    pub units: u64,
    pub work: Box<dyn FnMut() -> Spent + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender that is measured whole.
    pub fn new(name: impl Into<String>, units: u64, mut work: impl FnMut() + 'a) -> Contender<'a> {
        Contender::timed(name, units, move || spent(&mut work).0)
    }

    /// A contender that measures itself.
    pub fn timed(name: impl Into<String>, units: u64, work: impl FnMut() -> Spent + 'a) -> Contender<'a> {
        Contender { name: name.into(), units, work: Box::new(work) }
    }
}

/// What a contender spent in each round.
#[derive(Clone, Debug)]
pub struct Measured {
    pub name: String,
    pub units: u64,
    pub rounds: Vec<Spent>,
}

/// Runs every contender once a round, in turn, so that what else the machine does meets all alike; one round before that does not count.
pub fn alternate(rounds: usize, contenders: Vec<Contender<'_>>) -> Vec<Measured> {
    let mut contenders = contenders;
    let mut measured: Vec<Measured> =
        contenders.iter().map(|one| Measured { name: one.name.clone(), units: one.units, rounds: Vec::new() }).collect();
    for round in 0..=rounds {
        for (contender, measured) in contenders.iter_mut().zip(&mut measured) {
            let spent = (contender.work)();
            if round > 0 {
                measured.rounds.push(spent);
            }
        }
    }
    measured
}

/// Which of the two times is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Time of the processor: for one thread, it does not depend on what else the machine does.
    Cpu,
    /// Time on the wall: for several threads, and for what waits for a disk or for another process.
    Wall,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

impl Measured {
    fn seconds(&self, by: By) -> Vec<f64> {
        let of = |spent: &Spent| if by == By::Cpu { spent.cpu } else { spent.wall };
        self.rounds.iter().map(|spent| of(spent).as_secs_f64()).collect()
    }

    /// Median of the rounds, units a second.
    pub fn rate(&self, by: By) -> f64 {
        self.units as f64 / median(self.seconds(by))
    }

    /// Lowest and highest rate of the rounds.
    pub fn span(&self, by: By) -> (f64, f64) {
        let seconds = self.seconds(by);
        let (least, most) = (seconds.iter().copied().fold(f64::MAX, f64::min), seconds.iter().copied().fold(0.0, f64::max));
        (self.units as f64 / most, self.units as f64 / least)
    }

    /// How many times the rate of `bound` this one reaches: the median of the ratios of each round, so that a slow round harms both.
    pub fn of(&self, bound: &Measured, by: By) -> f64 {
        let (mine, theirs) = (self.seconds(by), bound.seconds(by));
        let scale = self.units as f64 / bound.units as f64;
        median(mine.iter().zip(&theirs).map(|(mine, theirs)| scale * theirs / mine).collect())
    }
}

/// A table of results on stdout.
pub struct Table {
    title: String,
    rows: Vec<[String; 7]>,
}

impl Table {
    pub fn new(title: impl Into<String>) -> Table {
        Table { title: title.into(), rows: Vec::new() }
    }

    /// One measurement. `bound` is what it is compared with; `target` says in words what was promised.
    pub fn row(&mut self, measured: &Measured, by: By, bound: Option<&Measured>, target: &str) {
        self.row_of(measured, by, bound.map(|bound| (measured.of(bound, by), bound.name.clone())), target);
    }

    /// One measurement beside a published figure of `published` units a second.
    pub fn row_published(&mut self, measured: &Measured, by: By, published: f64, target: &str) {
        self.row_of(measured, by, Some((measured.rate(by) / published, format!("{} published", rate(published)))), target);
    }

    fn row_of(&mut self, measured: &Measured, by: By, bound: Option<(f64, String)>, target: &str) {
        let (least, most) = measured.span(by);
        let (ratio, bound) = bound.map_or((String::new(), String::new()), |(ratio, name)| (times(ratio), name));
        let by_word = if by == By::Cpu { "CPU" } else { "wall" };
        self.rows.push([
            measured.name.clone(),
            format!("{}/s {by_word} [{}..{}]", rate(measured.rate(by)), rate(least), rate(most)),
            format!("{:.3} µs CPU", 1e6 / measured.rate(By::Cpu)),
            format!("{:.3} µs wall", 1e6 / measured.rate(By::Wall)),
            ratio,
            bound,
            target.to_owned(),
        ]);
    }

    /// A line of another sort, as one of memory: what, the value, what was promised.
    pub fn note(&mut self, name: &str, value: &str, target: &str) {
        self.rows.push([name.to_owned(), value.to_owned(), String::new(), String::new(), String::new(), String::new(), target.to_owned()]);
    }

    /// Prints the table and the load of the machine behind it.
    pub fn print(&self) {
        let heads = ["what", "rate [lowest..highest]", "each", "each", "ratio", "to", "target"].map(str::to_owned);
        let rows: Vec<&[String; 7]> = std::iter::once(&heads).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..7).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
        println!("\n## {}", self.title);
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &width)| format!("{cell}{}", " ".repeat(width - cell.chars().count()))).collect();
            println!("{}", cells.join("  ").trim_end());
        }
        println!("load average {}, {} processors", load(), processors());
    }
}

/// A rate in few figures: 1.93M, 118k, 7.6k, 82.
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 1e6 => format!("{:.2}M", r / 1e6),
        r if r >= 1e5 => format!("{:.0}k", r / 1e3),
        r if r >= 1e3 => format!("{:.1}k", r / 1e3),
        r => format!("{r:.0}"),
    }
}

/// A ratio: 0.85 × , 5.1 ×, 1100 ×.
pub fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 100.0 => format!("{r:.0} ×"),
        r if r >= 3.0 => format!("{r:.1} ×"),
        r => format!("{r:.2} ×"),
    }
}

/// The load averages of one, five and fifteen minutes.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// How many threads can run at once.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The memory of this process at its highest, in bytes (`VmHWM`).
pub fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a /proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line VmHWM");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number of KiB") * 1024
}

/// Starts this bench again with `--child` and `arguments`, and answers with the last line it prints: for memory, which a process cannot give back.
pub fn child(arguments: &[&str]) -> String {
    let program = std::env::current_exe().expect("a program");
    let done = Command::new(program).arg("--child").args(arguments).stderr(Stdio::inherit()).output().expect("a child");
    assert!(done.status.success(), "the child {arguments:?} ended with {}", done.status);
    String::from_utf8(done.stdout).expect("UTF-8").lines().last().unwrap_or_default().to_owned()
}

/// MiB in words.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
