//! Whose turn it is: members in an order that is foreseeable, the same for all, and not for sale (SPEC 6.5).

use std::collections::BTreeMap;

use super::batch::Paper;
use super::ids::{Hash, Origin, Party, Pid};

/// `SHA-256("tabellion order v1" ‖ 00 ‖ origin ‖ 00 ‖ u64be(session) ‖ member)`: what members are sorted by, ascending.
pub fn turn_key(origin: &Origin, session: u64, member: &Party) -> Hash {
    Hash::of_parts(&[b"tabellion order v1\0", origin.as_str().as_bytes(), b"\0", &session.to_be_bytes(), member.as_str().as_bytes()])
}

/// The members in turn order of a session.
pub fn order<'a>(origin: &Origin, session: u64, members: impl Iterator<Item = &'a Party>) -> Vec<&'a Party> {
    let mut members: Vec<&Party> = members.collect();
    members.sort_by_key(|member| turn_key(origin, session, member));
    members
}

/// The papers of a session's rounds: each member's ready ones in their order, and the others with how many papers they still wait for.
///
/// A paper is *ready* when every paper of its `after` has a final verdict. That is counted down, not searched: a member with many papers that
/// wait costs the others nothing at each turn.
pub struct Queues<'a> {
    ready: BTreeMap<&'a Party, BTreeMap<(u64, Pid), &'a Paper>>,
    waiting: BTreeMap<Pid, (usize, &'a Paper)>,
    followers: BTreeMap<Pid, Vec<Pid>>,
}

impl<'a> Queues<'a> {
    /// Queues of `papers`; `is_final` says which papers have a final verdict before the first round.
    pub fn new(papers: Vec<&'a Paper>, is_final: impl Fn(&Pid) -> bool) -> Queues<'a> {
        let mut queues = Queues { ready: BTreeMap::new(), waiting: BTreeMap::new(), followers: BTreeMap::new() };
        for paper in papers {
            let open: Vec<&Pid> = paper.proposal.after.iter().filter(|pid| !is_final(pid)).collect();
            open.iter().for_each(|pid| queues.followers.entry(**pid).or_default().push(paper.pid));
            match open.len() {
                0 => queues.make_ready(paper),
                count => drop(queues.waiting.insert(paper.pid, (count, paper))),
            }
        }
        queues
    }

    fn make_ready(&mut self, paper: &'a Paper) {
        self.ready.entry(&paper.proposal.author).or_default().insert((paper.proposal.sequence, paper.pid), paper);
    }

    /// Takes a member's first ready paper, by sequence, then id.
    pub fn first_ready(&mut self, member: &Party) -> Option<&'a Paper> {
        self.ready.get_mut(member)?.pop_first().map(|(_, paper)| paper)
    }

    /// Counts down what waits for a paper that has its final verdict now.
    pub fn note_final(&mut self, pid: &Pid) {
        for follower in self.followers.remove(pid).unwrap_or_default() {
            let Some((open, paper)) = self.waiting.get_mut(&follower) else { continue };
            *open -= 1;
            if *open == 0 {
                let paper = *paper;
                self.waiting.remove(&follower);
                self.make_ready(paper);
            }
        }
    }

    /// The papers that came to no turn, by id.
    pub fn left(self) -> Vec<&'a Paper> {
        let ready = self.ready.into_values().flat_map(BTreeMap::into_values);
        let mut left: Vec<&Paper> = ready.chain(self.waiting.into_values().map(|(_, paper)| paper)).collect();
        left.sort_by_key(|paper| paper.pid);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_key_is_the_hash_of_the_parts_with_their_separators() {
        // printf 'tabellion order v1\0witness.example/common\0\0\0\0\0\0\0\0\x01alice' | sha256sum
        let origin = "witness.example/common".parse().expect("an origin");
        let alice = "alice".parse().expect("a member");
        assert_eq!(turn_key(&origin, 1, &alice).hex(), "28ce42ba2841f01bac216515ae13e2ced27970439c7595a4cd3ef74dd2f674f8");
    }
}
