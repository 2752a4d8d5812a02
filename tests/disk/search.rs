//! Which of all that may be lost is tried. At a boundary: none of what is pending; all of it, in order; all but each one; each one alone; the last
//! write torn at its edges; and subsets drawn from a printed seed. A sample takes some of these at some boundaries, by the same seed.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;

use super::disk::{Disk, Image, Part};
use super::recorder::{Effect, Kind, Watch, memory};

/// Worker threads of a search.
const THREADS: usize = 2;
/// Random subsets at a boundary.
const SUBSETS: usize = 6;
/// Pending changes of which each is left out and is there alone; of more, the oldest and the newest, half of this each.
const SINGLES_MAX: usize = 32;
/// Edges at which a write is torn; of a longer one, those of its beginning and of its end, half of this each.
const EDGES_MAX: u64 = 24;
/// How far from a sync, a rename or a mark a boundary still decides something.
const NEAR: usize = 2;

/// What the columns of [`Found::tell`] are.
const HEADER: &str = "| recording | effects | boundaries | points | torn | images | run again | acknowledged, and lost | chain or database broken | two roots of one number | all violations |";

/// Whether everything is to be tried, or the sample that a newcomer's `cargo test` takes.
pub fn in_full() -> bool {
    std::env::var_os("TABELLION_DISK_FULL").is_some()
}

/// What is tried of one recording.
#[derive(Clone, Copy)]
pub struct Extent {
    /// Most boundaries; the first, the last and the one behind each mark are always among them, and those beside a sync or a mark come first.
    pub boundaries: usize,
    /// Most images at a boundary.
    pub images: usize,
    /// Whether a boundary that is not near a sync, a rename or a mark has only two images: none of what is pending, and all.
    pub only_near: bool,
}

/// What a search found.
#[derive(Default)]
pub struct Found {
    pub effects: usize,
    pub boundaries: usize,
    pub points: usize,
    pub images: usize,
    pub torn: usize,
    pub violations: Vec<String>,
}

impl Found {
    /// Prints the row that `docs/reliability.md` has, and the first violations below it. `runs` is how often the program was run on an image.
    pub fn tell(&self, what: &str, runs: usize) {
        let counted = |words: &[&str]| self.violations.iter().filter(|found| words.iter().any(|word| found.contains(word))).count();
        let lost = counted(&["is lost"]);
        let broken = counted(&["the checks object", "start-up:", "part of a commit", "not those of the undisturbed run"]);
        let roots = counted(&["two roots of", "signature over another"]);
        let counts = [self.effects, self.boundaries, self.points, self.torn, self.images, runs, lost, broken, roots];
        let row: Vec<String> = counts.iter().chain([&self.violations.len()]).map(usize::to_string).collect();
        println!("{HEADER}\n| {what}{} | {} |", if in_full() { "" } else { " (a sample)" }, row.join(" | "));
        self.violations.iter().take(3).for_each(|violation| println!("    {violation}"));
    }

    /// Nothing may be wrong, and something must have been tried.
    pub fn none(&self) {
        assert!(self.points > 0 && self.images > 0);
        let shown: Vec<&String> = self.violations.iter().take(10).collect();
        assert!(self.violations.is_empty(), "{} violations: {shown:#?}", self.violations.len());
    }
}

/// The marks that the child had made before a boundary.
pub type Marks<'a> = &'a [String];

/// Looks at every image of a recording. `look` is given a folder of its own for each thread that holds the image, and answers with what it
/// found there, which is asked for once an image; `judge` says what is wrong with that after those marks and that many
/// effects.
pub fn search<Seen: Sync + Send>(
    before: &Disk,
    watch: &Watch,
    extent: Extent,
    look: impl Fn(&std::path::Path, &Image) -> Seen + Sync,
    judge: impl Fn(&Seen, Marks<'_>, usize) -> Vec<String> + Sync,
) -> Found {
    let seed = std::env::var("TABELLION_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("seed {seed} (TABELLION_SEED)");
    let chosen = boundaries(&watch.effects, extent.boundaries, &mut Rng::with_seed(seed));
    let (known, images, found) =
        (Mutex::new(HashMap::<[u8; 32], std::sync::Arc<Seen>>::new()), AtomicUsize::new(0), Mutex::new(Found::default()));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (chosen, known, images, found, look, judge) = (&chosen, &known, &images, &found, &look, &judge);
            scope.spawn(move || {
                let (slot, mut there) = (memory(), Image::default());
                let (mut disk, mut marks) = (before.clone(), Vec::new());
                for boundary in 0..=watch.effects.len() {
                    if let Some(effect) = boundary.checked_sub(1).map(|at| &watch.effects[at]) {
                        disk.apply(effect);
                        if let Kind::Mark(mark) = &effect.kind {
                            marks.push(mark.clone());
                        }
                    }
                    if !chosen.contains(&boundary) || boundary % THREADS != thread {
                        continue;
                    }
                    let mut rng = Rng::with_seed(seed ^ (boundary as u64) << 20);
                    let is_short = extent.only_near && !is_near(&watch.effects, boundary);
                    for parts in points(&disk, if is_short { 2 } else { extent.images }, &mut rng) {
                        let image = disk.image(&parts);
                        let name = image.name();
                        let seen = known.lock().unwrap().get(&name).cloned();
                        let seen = seen.unwrap_or_else(|| {
                            images.fetch_add(1, Ordering::SeqCst);
                            image.put(slot.path(), &there);
                            let seen = std::sync::Arc::new(look(slot.path(), &image));
                            there = image.clone();
                            known.lock().unwrap().insert(name, seen.clone());
                            seen
                        });
                        let wrong = judge(&seen, &marks, boundary);
                        let mut found = found.lock().unwrap();
                        found.points += 1;
                        found.torn += usize::from(parts.iter().any(|part| !matches!(part, Part::Lost | Part::Whole)));
                        let when =
                            || format!("seed {seed}, after effect {boundary} ({}): {}", said(&watch.effects, boundary), shown(&parts));
                        found.violations.extend(wrong.into_iter().map(|wrong| format!("{wrong}, {}", when())));
                    }
                    found.lock().unwrap().boundaries += 1;
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    (found.images, found.effects) = (images.into_inner(), watch.effects.len());
    found.violations.sort();
    found
}

fn said(effects: &[Effect], boundary: usize) -> String {
    let Some(effect) = boundary.checked_sub(1).map(|at| &effects[at]) else { return "none".into() };
    let what = match &effect.kind {
        Kind::Write(at, bytes) => format!("Write {} at {at}", bytes.len()),
        other => format!("{other:?}"),
    };
    format!("{what} {}", effect.path)
}

/// The parts of the pending changes, runs of equal ones counted.
fn shown(parts: &[Part]) -> String {
    let runs = parts.chunk_by(|a, b| a == b).map(|run| format!("{}x{:?}", run.len(), run[0]));
    runs.collect::<Vec<_>>().join(" ")
}

fn decides(effect: &Effect) -> bool {
    matches!(effect.kind, Kind::Sync | Kind::Mark(_) | Kind::Rename(_))
}

/// Whether one of the effects just before a boundary, or just after it, decides something.
fn is_near(effects: &[Effect], boundary: usize) -> bool {
    effects[boundary.saturating_sub(NEAR)..(boundary + NEAR).min(effects.len())].iter().any(decides)
}

/// Boundaries to look at, ascending: all when they are few enough; else the ends and the one behind each mark, which no seed leaves out; those
/// beside syncs and marks, and others by chance.
fn boundaries(effects: &[Effect], most: usize, rng: &mut Rng) -> std::collections::BTreeSet<usize> {
    let mut first: Vec<usize> = Vec::new();
    for (at, _) in effects.iter().enumerate().filter(|(_, effect)| decides(effect)) {
        first.extend([at, at + 1, at + 2].into_iter().filter(|at| *at <= effects.len()));
    }
    rng.shuffle(&mut first);
    let mut others: Vec<usize> = (0..=effects.len()).collect();
    rng.shuffle(&mut others);
    let marks = effects.iter().enumerate().filter(|(_, effect)| matches!(effect.kind, Kind::Mark(_)));
    let mut out: std::collections::BTreeSet<usize> = [0, effects.len()].into_iter().chain(marks.map(|(at, _)| at + 1)).collect();
    // Half of what is allowed goes to the places where something is decided.
    for at in first.into_iter().take(most / 2).chain(others) {
        if out.len() >= most {
            break;
        }
        out.insert(at);
    }
    out
}

/// Which parts of what is pending are tried.
fn points(disk: &Disk, most: usize, rng: &mut Rng) -> Vec<Vec<Part>> {
    let count = disk.pending();
    let (none, all) = (vec![Part::Lost; count], vec![Part::Whole; count]);
    let with = |parts: &[Part], at: usize, part| {
        let mut parts = parts.to_vec();
        parts[at] = part;
        parts
    };
    let mut sure = vec![none.clone(), all.clone()];
    sure.truncate(if count == 0 { 1 } else { 2 });
    let mut more = Vec::new();
    if count > 1 {
        let half = SINGLES_MAX / 2;
        let singles = || (0..count).filter(|at| *at < half || *at + half >= count);
        more.extend(singles().map(|at| with(&all, at, Part::Lost)));
        more.extend(singles().map(|at| with(&none, at, Part::Whole)));
        more.extend((0..SUBSETS).map(|_| subset(disk, rng)));
    }
    if let Some(sectors) = disk.last_write_sectors() {
        for sector in edges(sectors) {
            for part in [Part::Head(sector), Part::Tail(sector)] {
                more.extend([&all, &none].map(|parts| with(parts, count - 1, part)));
            }
        }
        more.extend([&all, &none].map(|parts| with(parts, count - 1, Part::Zeros)));
    }
    rng.shuffle(&mut more);
    sure.extend(more);
    sure.truncate(most.max(2));
    sure
}

/// Where a write of so many sectors is torn.
fn edges(sectors: u64) -> impl Iterator<Item = u64> {
    let half = EDGES_MAX / 2;
    (1..sectors).filter(move |edge| *edge <= half || edge + half >= sectors)
}

/// Each pending change there or not; now and then a write of them torn.
fn subset(disk: &Disk, rng: &mut Rng) -> Vec<Part> {
    let share = rng.f32();
    let mut part = |at: usize| match disk.sectors_of(at) {
        _ if rng.f32() > share => Part::Lost,
        Some(sectors) if sectors > 1 && rng.u8(..8) == 0 => match rng.bool() {
            true => Part::Head(rng.u64(1..sectors)),
            false => Part::Tail(rng.u64(1..sectors)),
        },
        _ => Part::Whole,
    };
    (0..disk.pending()).map(&mut part).collect()
}
