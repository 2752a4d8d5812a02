//! Every order of asking, reading, answering and writing, up to a depth: each method of the line is one step under its lock, so these are all
//! the interleavings that there are.

use super::*;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Somebody asks for the first read, or for the second.
    Ask(usize),
    /// Somebody asks for a write.
    Write,
    /// The worker takes the next job and does it, up to the answer.
    Work,
    /// The worker answers, or acknowledges the write.
    Answer,
    /// Time goes on beyond the life of what is kept.
    Later,
}

const STEPS: [Step; 6] = [Step::Ask(0), Step::Ask(1), Step::Write, Step::Work, Step::Answer, Step::Later];
const READS: [Read; 2] = [Read::Head, Read::Latest];

/// What the worker has in hand.
enum Hand {
    Nothing,
    Read(Read, u64),
    Write,
}

struct World {
    line: Line,
    now_us: u64,
    /// Writes that the database holds; writes that were acknowledged.
    written: u64,
    finished: u64,
    hand: Hand,
    /// Those who wait: what they read must be no older than this.
    waiting: Vec<(u64, Receiver<Reply>)>,
    served: u64,
}

fn version(answer: &Answer) -> u64 {
    match answer {
        Answer::SeqNo(Some(version)) => *version,
        other => panic!("{other:?}"),
    }
}

impl World {
    fn new() -> World {
        let line = Line::new(100);
        World { line, now_us: 0, written: 0, finished: 0, hand: Hand::Nothing, waiting: Vec::new(), served: 0 }
    }

    /// Does a step; `false` when it cannot be done now.
    fn step(&mut self, step: Step) -> bool {
        let forever = Patience { until_us: u64::MAX, gone: Arc::default() };
        match (step, &self.hand) {
            (Step::Ask(which), _) => match self.line.ask(&READS[which], &forever, self.now_us) {
                Place::Kept(answer) => {
                    assert!(
                        version(&answer) >= self.finished,
                        "a kept answer is of {}, and {} were finished",
                        version(&answer),
                        self.finished
                    );
                    self.served += 1;
                }
                Place::Waits(receiver, _) => self.waiting.push((self.finished, receiver)),
                Place::Closed => panic!("open"),
            },
            (Step::Write, _) => drop(self.line.put(Box::new(|_| {})).unwrap()),
            (Step::Work, Hand::Nothing) => match self.take() {
                Some(Job::Read(read)) => self.hand = Hand::Read(read, self.written),
                Some(Job::Work(..)) => {
                    self.written += 1;
                    self.hand = Hand::Write;
                }
                None => return false,
            },
            (Step::Answer, Hand::Read(read, version)) => {
                self.line.answer(read, &Ok(Answer::SeqNo(Some(*version))), self.now_us);
                self.hand = Hand::Nothing;
            }
            (Step::Answer, Hand::Write) => {
                self.line.forget();
                self.finished = self.written;
                self.hand = Hand::Nothing;
            }
            (Step::Later, _) if self.now_us < 1_000 => self.now_us += 101,
            _ => return false,
        }
        let (line, served) = (&mut self.waiting, &mut self.served);
        line.retain(|(least, receiver)| match receiver.try_recv() {
            Ok(reply) => {
                assert!(version(&reply.unwrap()) >= *least, "an answer older than what was finished when it was asked for");
                *served += 1;
                false
            }
            Err(_) => true,
        });
        true
    }

    /// The next job, if there is one: the line itself would wait.
    fn take(&mut self) -> Option<Job> {
        self.line.put(Box::new(|_| {})).map(|ticket| {
            let job = self.line.next().unwrap();
            if self.line.withdraw(ticket) { Some(job) } else { None }
        })?
    }
}

/// Walks every sequence of steps that can be done, `depth` of them; counts the sequences and the reads that they served.
fn every(path: &mut Vec<Step>, depth: usize, counted: &mut (u64, u64)) {
    let mut world = World::new();
    if !path.iter().all(|step| world.step(*step)) {
        return;
    }
    if path.len() == depth {
        *counted = (counted.0 + 1, counted.1 + world.served);
        return;
    }
    for step in STEPS {
        path.push(step);
        every(path, depth, counted);
        path.pop();
    }
}

#[test]
fn no_order_of_events_serves_what_a_finished_write_has_made_old() {
    let mut counted = (0, 0);
    every(&mut Vec::new(), 7, &mut counted);
    let (sequences, served) = counted;
    assert!(sequences > 10_000 && served > 10_000, "{sequences} sequences, {served} reads");
}
