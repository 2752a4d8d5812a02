//! The how-manieth stick one is: what an operator can tell of two sticks of one make is which came first.
//!
//! Numbers are given in the order of arrival and stay as long as a stick is inserted; they begin anew when none is.

use super::slots::Stick;

/// The sticks that are inserted, with their numbers.
#[derive(Default)]
pub(super) struct Arrivals {
    here: Vec<(String, usize)>,
    last: usize,
}

impl Arrivals {
    /// The same sticks, each with its number, in the order of their arrival. Those that came since the last look are counted as they stand.
    pub fn counted(&mut self, mut sticks: Vec<Stick>) -> Vec<Stick> {
        self.here.retain(|(insertion, _)| sticks.iter().any(|stick| stick.insertion == *insertion));
        if self.here.is_empty() {
            self.last = 0;
        }
        for stick in &mut sticks {
            let known = self.here.iter().find(|(insertion, _)| *insertion == stick.insertion).map(|(_, number)| *number);
            stick.number = known.unwrap_or_else(|| {
                self.last += 1;
                self.here.push((stick.insertion.clone(), self.last));
                self.last
            });
        }
        sticks.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        sticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(arrivals: &mut Arrivals, inserted: &[&str]) -> Vec<String> {
        let stick = |at: &&str| {
            let (name, insertion) = at.split_once(' ').unwrap();
            Stick { name: name.into(), insertion: insertion.into(), ..Stick::default() }
        };
        let counted = arrivals.counted(inserted.iter().map(stick).collect());
        counted.iter().map(|stick| format!("{} {}", stick.number, stick.name)).collect()
    }

    #[test]
    fn sticks_are_counted_in_the_order_of_their_arrival_and_keep_their_number() {
        let mut arrivals = Arrivals::default();
        assert_eq!(numbers(&mut arrivals, &["sdc1 7"]), ["1 sdc1"]);
        // The kernel gave the name of a stick that was pulled out to the next one: its name comes before.
        assert_eq!(numbers(&mut arrivals, &["sdb1 8", "sdc1 7"]), ["1 sdc1", "2 sdb1"]);
        assert_eq!(numbers(&mut arrivals, &["sdb1 8"]), ["2 sdb1"]);
        assert_eq!(numbers(&mut arrivals, &["sdb1 8", "sdc1 9"]), ["2 sdb1", "3 sdc1"], "another insertion under the same name");
        assert_eq!(numbers(&mut arrivals, &[]), [""; 0]);
        assert_eq!(numbers(&mut arrivals, &["sdc1 10", "sdc2 10", "sdd1 11"]), ["1 sdc1", "1 sdc2", "2 sdd1"], "two parts of one stick");
    }

    #[test]
    fn a_stick_is_called_by_its_number_its_size_and_its_label_and_last_by_its_device() {
        let stick = |number, size: &str, label: &str, name: &str| Stick {
            name: name.into(),
            size: size.into(),
            label: label.into(),
            number,
            ..Stick::default()
        };
        for (stick, called) in [
            (stick(2, "8 GB", "ALICE", "sdc1"), "the second stick, 8 GB, label \"ALICE\" (sdc1)"),
            (stick(1, "16 GB", "", "sdb"), "the first stick, 16 GB, no label (sdb)"),
            (stick(12, "", "red", "red"), "the twelfth stick, label \"red\""),
            (stick(13, "8 GB", "X", "sdz1"), "stick number 13, 8 GB, label \"X\" (sdz1)"),
        ] {
            assert_eq!(stick.called(), called);
        }
    }
}
