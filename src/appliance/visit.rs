//! One session at the console: what the sticks bring, each paper, the number that confirms, the results.

use std::cell::RefCell;

use zeroize::Zeroizing;

use crate::clock;
use crate::console::page::Block;
use crate::core::cbor::Canonical as _;
use crate::core::ids::Head;
use crate::core::payload::Ruling;
use crate::core::plan::Plan;
use crate::core::proposal::Proposal;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::run::bag::Bag;
use crate::run::confirm;
use crate::run::session::{Operator, Report, Request, Wait, session_handling};

use super::ends::troubled;
use super::meanwhile::{TICK, meanwhile};
use super::pages::checking::checking;
use super::pages::results::{Given, WRITTEN_AGAIN, given, let_go, told};
use super::pages::{home as home_pages, papers, sticks as pages};
use super::room::{Away, Room, Way};
use super::standing::Standing;
use super::stands::Stands;
use super::sticks::{Held, Steps, close_all, open_all};

/// How often a passphrase may be wrong.
const TRIES: u32 = 3;

/// One session over every stick that is inserted and can be read.
pub(super) fn visit(room: &Room<'_>, standing: &Standing) -> Way<Stands> {
    let opened = match open_all(room) {
        Ok(opened) => opened,
        Err(problem) => return troubled(room, &problem, Vec::new()),
    };
    let names: Vec<String> = opened.iter().map(|stick| stick.called.clone()).collect();
    let request = Request {
        ledger: room.desk().to_owned(),
        media: opened.iter().map(|stick| stick.folder.clone()).collect(),
        time: claim(room, standing),
        held: false,
    };
    let steps = RefCell::new(Steps::default());
    let mut attending = Attending { room, standing, names: &names, wrong: 0 };
    let done = session_handling(&request, &mut attending, &mut Held { room, sticks: &opened }, &mut |effect, what| {
        steps.borrow_mut().take(room, effect, what);
    });
    let done = done.map(|report| Done::of(&report));
    let closed = close_all(room, &opened);
    match (done, room.kept_away()) {
        (Ok(Ok(done)), _) => finish(room, done, closed),
        (Ok(Err(fault)), _) => troubled(room, &fault.into(), Vec::new()),
        (Err(_), Some(Away::Left)) => Ok(Stands::Home),
        (Err(_), Some(away)) => Err(away),
        (Err(problem), None) => {
            let sticks = closed.into_iter().map(|(name, closed)| Given { name, written: Ok(()), closed }).collect::<Vec<_>>();
            troubled(room, &problem, let_go(&sticks))
        }
    }
}

/// The time that a session claims: that of the clock, unless it went back or nobody wants it.
fn claim(room: &Room<'_>, standing: &Standing) -> Option<u64> {
    clock::now_unix().filter(|now| room.claims_time() && standing.last_claim.is_none_or(|last| last <= *now))
}

/// What is kept of a session that is done: the desk itself is closed.
struct Done {
    standing: Standing,
    what: String,
    told: Vec<Block>,
    written: Vec<Checked<()>>,
    is_new: bool,
}

impl Done {
    fn of(report: &Report) -> Checked<Done> {
        let books = report.desk.books();
        let mut facts: Vec<Block> = report.repaired.iter().map(|done| told("Repaired", done.as_str())).collect();
        if report.is_new
            && let Some(session) = books.last_session()?
        {
            facts.push(told("Session", format!("number {}: {}", report.session, papers::summary(&session.rulings))));
        }
        facts.push(told("Head", crate::run::words::head(&report.heads.1)));
        if !report.again.is_empty() {
            facts
                .push(told("Again", format!("{} came after its answer; the first receipt is on the stick", papers_of(report.again.len()))));
        }
        if !report.reported.is_empty() {
            let text = format!("{} of ours that no order has to settle any more", super::pages::count(report.reported.len(), "text"));
            facts.push(told("Reported", text));
        }
        if !report.not_kept.is_empty() {
            let text = format!(
                "{} that no paper here waits for; bring them with what names them",
                super::pages::count(report.not_kept.len(), "object")
            );
            facts.push(told("Not kept", text));
        }
        let what = if report.is_new { format!("results of session {}", report.session) } else { "everything that was published".into() };
        let written = report.media.iter().map(|(_, written)| written.clone()).collect();
        Ok(Done { standing: Standing::of(books)?, what, told: facts, written, is_new: report.is_new })
    }
}

fn papers_of(number: usize) -> String {
    super::pages::count(number, "paper")
}

/// Tells what became of each stick, and has the head written down.
fn finish(room: &Room<'_>, done: Done, closed: Vec<(String, Checked<()>)>) -> Way<Stands> {
    let sticks = closed.into_iter().zip(done.written).map(|((name, closed), written)| Given { name, written, closed });
    let sticks: Vec<Given> = sticks.collect();
    room.stands(done.standing.clone());
    room.seen(&given(&done.what, done.told, &sticks, WRITTEN_AGAIN))?;
    if done.is_new {
        room.seen(&home_pages::write_down(&done.standing))?;
    }
    Ok(Stands::Home)
}

/// The operator at the console.
struct Attending<'r, 'a> {
    room: &'r Room<'a>,
    standing: &'r Standing,
    names: &'r [String],
    wrong: u32,
}

impl Operator for Attending<'_, '_> {
    /// The head was recognised at the start, or is that of the session that this console ran: another one is another disk.
    fn recognise(&mut self, head: &Head, _: Option<&Head>) -> Checked<()> {
        if *head == self.standing.head {
            return Ok(());
        }
        let (found, expected) = (crate::run::words::head(head), crate::run::words::head(&self.standing.head));
        Err(Fault::new(Rule::HeadUnexpected, format!("{found} in the ledger; {expected}, which was recognised, expected")))
    }

    fn waits(&mut self, wait: Wait, work: &mut (dyn FnMut() + Send)) {
        match wait {
            Wait::Desk => meanwhile(self.room, TICK, checking, work),
            Wait::Media => meanwhile(self.room, TICK, |seconds| pages::reading(self.names, seconds), work),
        }
    }

    fn passphrase(&mut self) -> Checked<Passphrase> {
        ask_passphrase(self.room, &mut self.wrong)
    }

    fn asks_again(&mut self, _: &Fault) -> bool {
        self.room.forget();
        self.wrong += 1;
        self.wrong < TRIES
    }

    fn passphrase_to_halt(&mut self) -> Checked<Option<Passphrase>> {
        let typed = match self.room.passphrase() {
            Some(kept) => kept,
            None => match self.room.line(&pages::passphrase_to_halt()) {
                Ok(typed) if !typed.is_empty() => typed,
                _ => return Ok(None),
            },
        };
        self.room.show(&pages::opening());
        Passphrase::new(&typed).map(Some)
    }

    fn look_through(&mut self, bag: &Bag) -> Checked<()> {
        self.room.within(self.room.key(&pages::inventory(self.names, bag))).map(drop)
    }

    fn nothing_new(&mut self, bag: &Bag, repaired: &[String]) -> Checked<()> {
        self.finished_before();
        self.room.within(self.room.key(&pages::nothing_new(self.names, bag.again().len(), repaired))).map(drop)
    }

    fn confirm(&mut self, plan: &Plan, _: &Bag) -> Checked<String> {
        self.finished_before();
        self.show_papers(plan)?;
        let mut confirmed = confirm::policies(plan).map(|ruling| self.confirm_policy(ruling)).collect::<Checked<Vec<String>>>()?;
        let mut wrong: Option<Zeroizing<String>> = None;
        loop {
            let page = papers::numbers(plan, plan.opened().time, wrong.as_ref().map(|wrong| wrong.as_str()))?;
            let typed = self.room.within(self.room.line(&page))?;
            match confirm::number(typed.trim(), plan) {
                Ok(said) => {
                    confirmed.push(said);
                    return Ok(confirmed.join(", "));
                }
                Err(_) => wrong = Some(typed),
            }
        }
    }
}

impl Attending<'_, '_> {
    /// A session that broke off is finished before anybody is asked whether to go on: whoever leaves then need not do it again.
    fn finished_before(&self) {
        self.room.stands(Standing { unsealed: None, ..self.standing.clone() });
    }

    /// Each paper on a page of its own.
    fn show_papers(&self, plan: &Plan) -> Checked<()> {
        let all = plan.rulings().len();
        let mut at = 0;
        while let Some(ruling) = plan.rulings().get(at) {
            let changes = plan.policies().iter().find(|paper| paper.pid == ruling.pid);
            let page = papers::paper(ruling, (at, all), &self.standing.policy, changes)?;
            match self.room.within(self.room.key(&page))? {
                'b' => at = at.saturating_sub(1),
                's' => return Ok(()),
                _ => at += 1,
            }
        }
        Ok(())
    }

    fn confirm_policy(&self, ruling: &Ruling) -> Checked<String> {
        let author = Proposal::from_cbor(&ruling.envelope.payload)?.author;
        let mut wrong: Option<Zeroizing<String>> = None;
        loop {
            let page = papers::policy_digits(author.as_str(), wrong.as_ref().map(|wrong| wrong.as_str()));
            let typed = self.room.within(self.room.line(&page))?;
            match confirm::policy(&typed.trim().to_ascii_lowercase(), &ruling.pid) {
                Ok(said) => return Ok(said),
                Err(_) => wrong = Some(typed),
            }
        }
    }
}

/// The passphrase that is kept, or one that is typed now and kept from now on.
pub(super) fn ask_passphrase(room: &Room<'_>, wrong: &mut u32) -> Checked<Passphrase> {
    let typed = match room.passphrase() {
        Some(kept) => kept,
        None => loop {
            let left = (*wrong > 0).then_some(TRIES - *wrong);
            let typed = room.within(room.line(&pages::passphrase(left)))?;
            if !typed.is_empty() {
                break typed;
            }
        },
    };
    let passphrase = Passphrase::new(&typed)?;
    room.show(&pages::opening());
    room.keep(typed);
    Ok(passphrase)
}
