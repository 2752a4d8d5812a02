//! The record: the leaf of the public log that makes `common@N` (SPEC 4.4).

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Hash, Pid};
use super::limits::{RECORD_BYTES_MAX, UINT_MAX};
use super::note::VerifierKey;
use super::rules::{Checked, Fault, Rule};

/// Format name in every record.
const FORMAT: &str = "tabellion/record/1";

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Record 1.
    Charter = 0,
    /// An accepted proposal.
    Proposal = 1,
    /// A new policy.
    Policy = 2,
    /// A key rotation.
    Rotation = 3,
    /// The last record.
    Retirement = 4,
    /// Another machine writes from here on.
    HandOver = 5,
    /// A branch was given up.
    Recovery = 6,
}

impl RecordKind {
    const ALL: [RecordKind; 7] = [
        RecordKind::Charter,
        RecordKind::Proposal,
        RecordKind::Policy,
        RecordKind::Rotation,
        RecordKind::Retirement,
        RecordKind::HandOver,
        RecordKind::Recovery,
    ];

    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            RecordKind::Charter => "charter",
            RecordKind::Proposal => "proposal",
            RecordKind::Policy => "policy",
            RecordKind::Rotation => "key rotation",
            RecordKind::Retirement => "retirement",
            RecordKind::HandOver => "hand over",
            RecordKind::Recovery => "recovery",
        }
    }
}

/// Keys that are valid from a record on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The log key.
    pub log: VerifierKey,
    /// The ledger's public key.
    pub ledger_public: [u8; 32],
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// N.
    pub number: u64,
    /// What it is about.
    pub kind: RecordKind,
    /// The paper.
    pub pid: Pid,
    /// The paper's envelope as counted.
    pub env: Hash,
    /// State root after it.
    pub state_root: Hash,
    /// The policy it was judged by.
    pub policy: Hash,
    /// BLAKE3 hash of the ledger's last event before this session.
    pub ledger_head: [u8; 32],
    /// The session.
    pub session: u64,
    /// The session's time claim.
    pub time: Option<u64>,
    /// Keys valid from here on (kinds 0, 3, 5).
    pub keys: Option<Keys>,
    /// SHA-256 of the next log public key (kinds 0, 3).
    pub next: Option<Hash>,
    /// SHA-256 of the list of all that was judged in this session.
    pub judged: Hash,
    /// Writer epoch (kind 5).
    pub epoch: Option<u64>,
    /// SHA-256 of the new policy (kind 2).
    pub new_policy: Option<Hash>,
}

impl Canonical for Record {
    fn write(&self, w: &mut Writer) {
        let optional = [self.time.is_some(), self.keys.is_some(), self.next.is_some(), self.epoch.is_some(), self.new_policy.is_some()];
        w.map(10 + optional.into_iter().filter(|&there| there).count());
        w.uint(0).text(FORMAT).uint(1).uint(self.number).uint(2).uint(self.kind as u64).uint(3).bytes(&self.pid.0);
        w.uint(4).bytes(&self.env.0).uint(5).bytes(&self.state_root.0).uint(6).bytes(&self.policy.0);
        w.uint(7).bytes(&self.ledger_head).uint(8).uint(self.session);
        if let Some(time) = self.time {
            w.uint(9).uint(time);
        }
        if let Some(keys) = &self.keys {
            w.uint(10).array(2).text(&keys.log.to_string()).bytes(&keys.ledger_public);
        }
        if let Some(next) = &self.next {
            w.uint(11).bytes(&next.0);
        }
        w.uint(12).bytes(&self.judged.0);
        if let Some(epoch) = self.epoch {
            w.uint(13).uint(epoch);
        }
        if let Some(policy) = &self.new_policy {
            w.uint(14).bytes(&policy.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Record> {
        let (mut format, mut number, mut kind, mut pid, mut env, mut state_root) = (None, None, None, None, None, None);
        let (mut policy, mut ledger_head, mut session, mut time, mut keys, mut next) = (None, None, None, None, None, None);
        let (mut judged, mut epoch, mut new_policy) = (None, None, None);
        r.reading("record").map(|key, r| {
            match key {
                0 => format = Some(r.text()?),
                1 => number = Some(r.uint_in(1..=UINT_MAX)?),
                2 => kind = Some(RecordKind::ALL[r.uint_in(0..=6)? as usize]),
                3 => pid = Some(r.hash()?),
                4 => env = Some(r.hash()?),
                5 => state_root = Some(r.hash()?),
                6 => policy = Some(r.hash()?),
                7 => ledger_head = Some(r.bytes_of::<32>()?),
                8 => session = Some(r.uint()?),
                9 => time = Some(r.uint_in(1..=UINT_MAX)?),
                10 => {
                    r.array_of(2)?;
                    keys = Some(Keys { log: r.parse()?, ledger_public: r.bytes_of::<32>()? });
                }
                11 => next = Some(r.hash()?),
                12 => judged = Some(r.hash()?),
                13 => epoch = Some(r.uint_in(1..=UINT_MAX)?),
                14 => new_policy = Some(r.hash()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if format != Some(FORMAT) {
            return Err(Fault::new(Rule::VersionUnknown, format!("{format:?} found, {FORMAT:?} expected")));
        }
        let record = Record {
            number: r.need(number, "1 (N)")?,
            kind: r.need(kind, "2 (kind)")?,
            pid: r.need(pid, "3 (pid)")?,
            env: r.need(env, "4 (env)")?,
            state_root: r.need(state_root, "5 (state root)")?,
            policy: r.need(policy, "6 (policy)")?,
            ledger_head: r.need(ledger_head, "7 (ledger head)")?,
            session: r.need(session, "8 (session)")?,
            time,
            keys,
            next,
            judged: r.need(judged, "12 (judged)")?,
            epoch,
            new_policy,
        };
        record.check_fields(r)?;
        Ok(record)
    }
}

impl Record {
    /// SPEC 4.4, last column: which keys stand in which kinds.
    fn check_fields(&self, r: &Reader<'_>) -> Checked<()> {
        use RecordKind::{Charter, HandOver, Policy, Rotation};
        let expected = [
            ("10 (keys)", self.keys.is_some(), matches!(self.kind, Charter | Rotation | HandOver)),
            ("11 (next key)", self.next.is_some(), matches!(self.kind, Charter | Rotation)),
            ("13 (epoch)", self.epoch.is_some(), self.kind == HandOver),
            ("14 (new policy)", self.new_policy.is_some(), self.kind == Policy),
        ];
        match expected.into_iter().find(|(_, found, expected)| found != expected) {
            None => Ok(()),
            Some((field, true, _)) => Err(r.fault(format!("a {} record holds {field}", self.kind.word()))),
            Some((field, false, _)) => Err(r.fault(format!("a {} record lacks {field}", self.kind.word()))),
        }
    }

    /// Every field with its name, as they are shown when two records are compared; `-` where a field does not stand.
    pub fn fields(&self) -> [(&'static str, String); 14] {
        let maybe = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let keys = self.keys.as_ref().map(|keys| format!("{} {}", keys.log, hex::encode(keys.ledger_public)));
        [
            ("field 1 (N)", self.number.to_string()),
            ("field 2 (kind)", self.kind.word().into()),
            ("field 3 (paper)", self.pid.hex()),
            ("field 4 (envelope)", self.env.hex()),
            ("field 5 (state root)", self.state_root.hex()),
            ("field 6 (policy)", self.policy.hex()),
            ("field 7 (ledger head)", hex::encode(self.ledger_head)),
            ("field 8 (session)", self.session.to_string()),
            ("field 9 (time)", maybe(self.time.map(|time| time.to_string()))),
            ("field 10 (keys)", maybe(keys)),
            ("field 11 (next key)", maybe(self.next.map(|next| next.hex()))),
            ("field 12 (all that was judged)", self.judged.hex()),
            ("field 13 (epoch)", maybe(self.epoch.map(|epoch| epoch.to_string()))),
            ("field 14 (new policy)", maybe(self.new_policy.map(|policy| policy.hex()))),
        ]
    }

    /// The log entry: at most 1,024 bytes.
    ///
    /// # Errors
    /// `internal-fault` with size and bound.
    pub fn to_entry(&self) -> Checked<Vec<u8>> {
        let bytes = self.to_cbor();
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Fault::new(Rule::InternalFault, format!("record of {} bytes; {RECORD_BYTES_MAX} at most", bytes.len())));
        }
        Ok(bytes)
    }
}
