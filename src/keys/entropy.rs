//! The seed of a founding: bytes of the kernel and rolls of a die, each tried before it is used, mixed so that either alone suffices (SPEC 9.3).
//!
//! A trial can only show that a source is broken, never that it is good: what it would miss is what the other source is for.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Seed;
use crate::core::rules::{Checked, Fault, Rule};

/// What goes in front of everything hashed here.
const MARK: &[u8] = b"tabellion 2026 founding seed v1\0";
/// Bytes drawn from the kernel.
const KERNEL_BYTES: usize = 4096;
/// A byte so many times in a row: `1 + ⌈40 / 8⌉`, for a false alarm of 2^-40 at each byte.
const REPEATED_MAX: usize = 6;
/// Bytes of a window, and how often its first byte may not be in it: a false alarm of 2^-44 in each.
const WINDOW: (usize, usize) = (512, 21);
/// A face so many times in a row.
const FACE_REPEATED_MAX: usize = 9;
/// The longest pattern that is recognised when it repeats itself.
const PATTERN_MAX: usize = 12;

/// Rolls of a six-sided die that passed their trial. Wiped when dropped.
pub struct Dice(Zeroizing<String>);

impl Dice {
    /// Fewest rolls: 129 bits, more than any key of this desk is worth to guess.
    pub const ROLLS_MIN: usize = 50;
    /// Most rolls.
    pub const ROLLS_MAX: usize = 1_000;

    /// How many rolls a text holds, with spaces between them or without; `None` when something else is in it.
    pub fn count(text: &str) -> Option<usize> {
        let rolls = || text.chars().filter(|letter| !letter.is_whitespace());
        rolls().all(|letter| ('1'..='6').contains(&letter)).then(|| rolls().count())
    }

    /// Rolls as they were typed. `text` is wiped by its own type.
    ///
    /// # Errors
    /// `entropy-weak` with what was counted; the rolls are never shown.
    pub fn new(text: &Zeroizing<String>) -> Checked<Dice> {
        let weak = |found: String, expected: &str| Err(Fault::new(Rule::EntropyWeak, format!("dice: {found}; {expected} expected")));
        let count = match Dice::count(text) {
            None => return weak("something that is no roll was typed".to_owned(), "only the digits 1 to 6"),
            Some(count) if count < Dice::ROLLS_MIN => return weak(format!("{count} rolls"), "50 or more"),
            Some(count) if count > Dice::ROLLS_MAX => return weak(format!("{count} rolls"), "1000 at most"),
            Some(count) => count,
        };
        // Room for all at once, so that growing leaves no copy behind.
        let mut rolls = Zeroizing::new(String::with_capacity(count));
        text.chars().filter(|letter| !letter.is_whitespace()).for_each(|letter| rolls.push(letter));
        let bytes = rolls.as_bytes();
        for face in b'1'..=b'6' {
            let name = char::from(face);
            match bytes.iter().filter(|roll| **roll == face).count() {
                0 => return weak(format!("{name} never fell in {count} rolls"), "every face at least once"),
                often if often * 5 > count * 2 => return weak(format!("{name} fell {often} times in {count} rolls"), "two fifths at most"),
                _ => {}
            }
        }
        if longest_run(bytes) >= FACE_REPEATED_MAX {
            return weak(format!("one face fell {} times in a row", longest_run(bytes)), "8 at most");
        }
        if let Some(length) = (1..=PATTERN_MAX).find(|length| bytes.iter().zip(&bytes[*length..]).all(|(roll, later)| roll == later)) {
            return weak(format!("the same {length} rolls again and again"), "rolls of a die, and no pattern");
        }
        Ok(Dice(rolls))
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dice(secret)")
    }
}

impl Seed {
    /// The seed of a founding, from the kernel and, where they were rolled, from dice.
    ///
    /// # Errors
    /// `entropy-weak` when the kernel's bytes fail their trial, `internal-fault` when it gives none.
    pub fn found(dice: Option<&Dice>) -> Checked<Seed> {
        let system = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|error| {
                Fault::new(Rule::InternalFault, format!("the system's randomness fails: {error}; 4096 bytes are expected"))
            })
        };
        Seed::found_with(system, dice)
    }

    fn found_with(mut fill: impl FnMut(&mut [u8]) -> Checked<()>, dice: Option<&Dice>) -> Checked<Seed> {
        let mut draw = || {
            let mut bytes = Zeroizing::new(vec![0; KERNEL_BYTES]);
            fill(&mut bytes).map(|()| bytes)
        };
        let (kernel, other) = (draw()?, draw()?);
        try_kernel(&kernel)?;
        try_kernel(&other)?;
        if kernel == other {
            return Err(weak_kernel("two draws are equal", "two different ones"));
        }
        Ok(mix(&kernel, dice.map_or(&[], |dice| dice.0.as_bytes())))
    }
}

/// SPEC 9.3.
fn mix(kernel: &[u8], dice: &[u8]) -> Seed {
    let mut hash = Sha256::new();
    hash.update(MARK);
    for source in [kernel, dice] {
        hash.update((source.len() as u32).to_be_bytes());
        hash.update(source);
    }
    let digest = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    Seed::from_bytes(&digest)
}

fn weak_kernel(found: &str, expected: &str) -> Fault {
    Fault::new(Rule::EntropyWeak, format!("kernel: {found}; {expected} expected"))
}

/// NIST SP 800-90B 4.4.1 and 4.4.2, for bytes that should carry 8 bits each.
fn try_kernel(bytes: &[u8]) -> Checked<()> {
    let run = longest_run(bytes);
    if run >= REPEATED_MAX {
        return Err(weak_kernel(&format!("one byte {run} times in a row"), "5 at most"));
    }
    let (length, most) = WINDOW;
    let often = bytes.chunks(length).map(|window| window.iter().filter(|byte| **byte == window[0]).count()).max().unwrap_or_default();
    if often >= most {
        return Err(weak_kernel(&format!("one byte {often} times among 512"), "20 at most"));
    }
    Ok(())
}

fn longest_run(values: &[u8]) -> usize {
    values.chunk_by(|one, next| one == next).map(<[u8]>::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLS: &str = "35214661523413625141632354162534625136421563245136";

    fn dice(text: &str) -> Checked<Dice> {
        Dice::new(&Zeroizing::new(text.to_owned()))
    }

    /// Bytes that pass: those of a generator with a seed that is written here, so that a trial fails only by the change that a test makes.
    fn sound(seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; KERNEL_BYTES];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        bytes
    }

    /// A kernel that gives these draws, one after the other, and counts them.
    fn founded(draws: &[Vec<u8>], dice: Option<&Dice>) -> (Checked<[u8; 32]>, usize) {
        let mut asked = 0;
        let fill = |bytes: &mut [u8]| {
            bytes.copy_from_slice(&draws[asked]);
            asked += 1;
            Ok(())
        };
        let seed = Seed::found_with(fill, dice).map(|seed| *seed.expose());
        (seed, asked)
    }

    /// SPEC 9.3, by Python's hashlib.
    #[test]
    fn the_seed_is_the_one_computed_by_other_software() {
        for (rolls, expected) in [
            (ROLLS, "dd23689e1f9b1cd37b13295fb9503d9e67f524f1c0c935a3edaea4d572c223e3"),
            ("", "19e97eb90ab3f1ee8b22f64749e6e16e3cb69ea37eff02964ed6dd55c5ac154a"),
        ] {
            assert_eq!(hex::encode(mix(&[0; KERNEL_BYTES], rolls.as_bytes()).expose()), expected);
        }
        let counted: Vec<u8> = (0..KERNEL_BYTES).map(|n| n as u8).collect();
        assert_eq!(
            hex::encode(mix(&counted, ROLLS.as_bytes()).expose()),
            "10de53d3c615538a5c0b21b89f707d520aec8251dec9d6e023800991549d9f27"
        );
    }

    #[test]
    fn every_byte_of_the_kernel_and_every_roll_changes_the_seed() {
        let (kernel, rolled) = (sound(1), dice(ROLLS).expect("sound rolls"));
        let (base, asked) = founded(&[kernel.clone(), sound(2)], Some(&rolled));
        let base = base.expect("a seed");
        assert_eq!(asked, 2);
        for at in (0..KERNEL_BYTES).step_by(61).chain([KERNEL_BYTES - 1]) {
            let mut other = kernel.clone();
            other[at] ^= 1;
            assert_ne!(founded(&[other, sound(2)], Some(&rolled)).0, Ok(base), "byte {at}");
        }
        for at in 0..ROLLS.len() {
            let mut other = ROLLS.to_owned().into_bytes();
            other[at] = if other[at] == b'6' { b'1' } else { other[at] + 1 };
            let other = dice(&String::from_utf8(other).expect("ASCII")).expect("sound rolls");
            assert_ne!(founded(&[kernel.clone(), sound(2)], Some(&other)).0, Ok(base), "roll {at}");
        }
        assert_ne!(founded(&[kernel.clone(), sound(2)], None).0, Ok(base), "without dice");
        assert_eq!(founded(&[kernel, sound(3)], Some(&rolled)).0, Ok(base), "the second draw is for the trial alone");
    }

    #[test]
    fn the_real_kernel_is_asked_and_answers_differently() {
        let (one, two) = (Seed::found(None).expect("a seed"), Seed::found(None).expect("a seed"));
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn a_kernel_that_is_broken_makes_no_seed() {
        let mut repeats = sound(1);
        repeats[100..106].fill(7);
        let mut five = sound(1);
        (five[99], five[105]) = (6, 8);
        five[100..105].fill(7);
        let often = |times: usize| {
            let mut bytes = sound(1);
            let window = &mut bytes[512..1024];
            let first = window[0];
            window.iter_mut().skip(1).filter(|byte| **byte == first).for_each(|byte| *byte ^= 1);
            (1..times).for_each(|place| window[place * 20] = first);
            bytes
        };
        for (draw, found) in [
            (vec![0; KERNEL_BYTES], Some("kernel: one byte 4096 times in a row; 5 at most expected")),
            (repeats, Some("kernel: one byte 6 times in a row; 5 at most expected")),
            (five, None),
            (often(21), Some("kernel: one byte 21 times among 512; 20 at most expected")),
            (often(20), None),
            (sound(2), Some("kernel: two draws are equal; two different ones expected")),
        ] {
            for draws in [[draw.clone(), sound(2)], [sound(2), draw.clone()]] {
                let told = founded(&draws, None).0.map(drop);
                let expected = found.map_or(Ok(()), |found| Err(Fault::new(Rule::EntropyWeak, found)));
                assert_eq!(told, expected);
            }
        }
        let silent = Seed::found_with(|_| Err(Fault::new(Rule::InternalFault, "no")), None);
        assert_eq!(silent.map(drop).map_err(|fault| fault.rule), Err(Rule::InternalFault));
    }

    #[test]
    fn rolls_that_no_die_made_are_refused_with_what_was_counted() {
        let fifty = |face: &str| format!("{}{}", face.repeat(21), &ROLLS.replace(face, "")[..29]);
        let rest: String = ROLLS.chars().filter(|face| *face != '4').cycle().take(60).collect();
        for (text, found) in [
            (String::new(), "0 rolls; 50 or more expected"),
            (ROLLS[..49].to_owned(), "49 rolls; 50 or more expected"),
            (ROLLS.repeat(21), "1050 rolls; 1000 at most expected"),
            (ROLLS.replace('4', "7"), "something that is no roll was typed; only the digits 1 to 6 expected"),
            (ROLLS.replace('4', "four"), "something that is no roll was typed; only the digits 1 to 6 expected"),
            (rest, "4 never fell in 60 rolls; every face at least once expected"),
            (fifty("2"), "2 fell 21 times in 50 rolls; two fifths at most expected"),
            (format!("{}{ROLLS}", "3".repeat(8)), "one face fell 9 times in a row; 8 at most expected"),
            ("123456".repeat(9), "the same 6 rolls again and again; rolls of a die, and no pattern expected"),
            (ROLLS[..12].repeat(5), "the same 12 rolls again and again; rolls of a die, and no pattern expected"),
        ] {
            let fault = dice(&text).map(drop).expect_err(found);
            assert_eq!(fault, Fault::new(Rule::EntropyWeak, format!("dice: {found}")));
        }
        for text in
            [ROLLS.to_owned(), format!("  {}\n{} ", &ROLLS[..25], &ROLLS[25..]), format!("{}{ROLLS}", "3".repeat(7)), ROLLS.repeat(20)]
        {
            assert!(dice(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rolls_are_counted_while_they_are_typed_and_never_shown() {
        for (text, count) in [("", Some(0)), ("1 2 3", Some(3)), ("66\n66", Some(4)), ("0", None), ("1,2", None), ("１", None)] {
            assert_eq!(Dice::count(text), count, "{text}");
        }
        assert_eq!(format!("{:?}", dice(ROLLS).expect("sound rolls")), "Dice(secret)");
    }
}
