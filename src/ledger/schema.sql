-- The ledger. Events are the truth; records and verdicts are derived from them by the triggers below and can be checked against them.
-- Guards are RAISE(ABORT) in triggers, not constraints: OR IGNORE and OR REPLACE override constraints. Comparisons are IS NOT: with
-- <> a NULL would pass. Every way in calls a tabellion_ function, so a connection that lacks them reads everything and inserts nothing.

PRAGMA application_id = 1415668332; -- "Tabl"
PRAGMA user_version = 1;

CREATE TABLE events (
  seq_no          INTEGER PRIMARY KEY,
  event_id        TEXT NOT NULL,
  timestamp       INTEGER NOT NULL,
  event_type      TEXT NOT NULL,
  payload         BLOB,
  payload_ref     BLOB,
  prev_event_hash BLOB NOT NULL,
  event_hash      BLOB NOT NULL GENERATED ALWAYS AS (tabellion_event_hash(seq_no, event_id, timestamp, event_type, payload, payload_ref,
                    prev_event_hash, public_key_id, writer_epoch)) STORED,
  signature       BLOB NOT NULL,
  public_key_id   BLOB NOT NULL,
  writer_epoch    INTEGER NOT NULL
) STRICT;

CREATE INDEX events_opened ON events (seq_no) WHERE event_type = 'opened';

-- sqlite3_blob_write changes a cell past every trigger and every generated column, but not a cell that some index holds. These indexes
-- are always empty: what they cost is one comparison with NULL. A table WITHOUT ROWID, as verdicts, has no such way in.
CREATE INDEX events_no_blob_write ON events (event_type, payload, payload_ref, prev_event_hash, event_hash, signature, public_key_id)
  WHERE seq_no IS NULL;

-- Payloads of more than 65536 bytes; their events hold [SHA-256, length] in deterministic CBOR, whose bytes 4 to 35 are the SHA-256.
CREATE TABLE payloads (
  sha256 BLOB NOT NULL PRIMARY KEY,
  bytes  BLOB NOT NULL
) STRICT;

CREATE INDEX payloads_no_blob_write ON payloads (bytes) WHERE sha256 IS NULL;

-- writer_epoch is the epoch in force behind the record.
CREATE TABLE records (
  number       INTEGER PRIMARY KEY,
  seq_no       INTEGER NOT NULL,
  pid          BLOB NOT NULL,
  ledger_head  BLOB NOT NULL,
  session      INTEGER NOT NULL,
  writer_epoch INTEGER NOT NULL
) STRICT;

CREATE INDEX records_no_blob_write ON records (pid, ledger_head) WHERE number IS NULL;

CREATE TABLE verdicts (
  pid    BLOB NOT NULL PRIMARY KEY,
  seq_no INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The only way in for the writer: it names the event and hands in the payload, everything else is taken and made here.
CREATE VIEW append (event_id, timestamp, event_type, payload) AS
  SELECT e.event_id, e.timestamp, e.event_type, coalesce(e.payload, (SELECT p.bytes FROM payloads p WHERE p.sha256 = substr(e.payload_ref, 4, 32)))
  FROM events e;

-- Two triggers of which exactly one fires, and VALUES rather than SELECT: INSERT … SELECT makes a temporary table for each row.
CREATE TRIGGER append_event INSTEAD OF INSERT ON append WHEN coalesce(length(NEW.payload), 0) <= 65536 BEGIN
  INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
    VALUES (coalesce((SELECT max(seq_no) FROM events), 0) + 1, NEW.event_id, NEW.timestamp, NEW.event_type, NEW.payload,
            coalesce((SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1), zeroblob(32)),
            tabellion_sign(tabellion_event_hash(coalesce((SELECT max(seq_no) FROM events), 0) + 1, NEW.event_id, NEW.timestamp, NEW.event_type,
              NEW.payload, NULL, coalesce((SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1), zeroblob(32)),
              tabellion_public_key_id(), coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1))),
            tabellion_public_key_id(), coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1));
END;

CREATE TRIGGER append_large_event INSTEAD OF INSERT ON append WHEN coalesce(length(NEW.payload), 0) > 65536 BEGIN
  INSERT INTO payloads (sha256, bytes)
    SELECT tabellion_sha256(NEW.payload), NEW.payload WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE sha256 = tabellion_sha256(NEW.payload));
  INSERT INTO events (seq_no, event_id, timestamp, event_type, payload_ref, prev_event_hash, signature, public_key_id, writer_epoch)
    VALUES (coalesce((SELECT max(seq_no) FROM events), 0) + 1, NEW.event_id, NEW.timestamp, NEW.event_type, tabellion_payload_ref(NEW.payload),
            coalesce((SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1), zeroblob(32)),
            tabellion_sign(tabellion_event_hash(coalesce((SELECT max(seq_no) FROM events), 0) + 1, NEW.event_id, NEW.timestamp, NEW.event_type,
              NULL, tabellion_payload_ref(NEW.payload), coalesce((SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1), zeroblob(32)),
              tabellion_public_key_id(), coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1))),
            tabellion_public_key_id(), coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1));
END;

-- The first that applies speaks. No FROM: a row that is not there must not keep the guard from speaking.
CREATE TRIGGER events_guard BEFORE INSERT ON events BEGIN
  SELECT CASE
    WHEN NEW.seq_no IS NOT coalesce((SELECT max(seq_no) FROM events), 0) + 1
      THEN RAISE(ABORT, 'seq_no is not the next number')
    WHEN NEW.prev_event_hash IS NOT coalesce((SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1), zeroblob(32))
      THEN RAISE(ABORT, 'prev_event_hash is not the hash of the last event')
    WHEN tabellion_follows((SELECT event_id FROM events ORDER BY seq_no DESC LIMIT 1), NEW.event_id) IS NOT 1
      THEN RAISE(ABORT, 'event_id does not follow the last one')
    WHEN NEW.writer_epoch IS NOT coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1)
      THEN RAISE(ABORT, 'writer_epoch is not the epoch in force')
    WHEN (NEW.payload IS NULL) IS (NEW.payload_ref IS NULL) OR coalesce(length(NEW.payload), 0) > 65536
      THEN RAISE(ABORT, 'exactly one of payload (at most 65536 bytes) and payload_ref is wanted')
    WHEN NEW.payload_ref IS NOT NULL AND NEW.payload_ref IS NOT (SELECT tabellion_payload_ref(bytes) FROM payloads
        WHERE sha256 = substr(NEW.payload_ref, 4, 32) AND length(bytes) > 65536)
      THEN RAISE(ABORT, 'payload_ref is not that of a large payload in the ledger')
    WHEN tabellion_is_cbor(coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32)))) IS NOT 1
      THEN RAISE(ABORT, 'payload is not deterministic CBOR')
    WHEN tabellion_verify(NEW.event_hash, NEW.signature, NEW.public_key_id) IS NOT 1
      THEN RAISE(ABORT, 'signature is not that of the unlocked ledger key')
  END;
END;

CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;

CREATE TRIGGER events_derive_verdict AFTER INSERT ON events WHEN NEW.event_type = 'verdict' BEGIN
  INSERT INTO verdicts (pid, seq_no)
    VALUES (tabellion_decides(coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32)))), NEW.seq_no);
END;

CREATE TRIGGER events_derive_record AFTER INSERT ON events WHEN NEW.event_type = 'verdict'
  AND tabellion_record('count', coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), 1) IS NOT 0
BEGIN
  INSERT INTO records (number, seq_no, pid, ledger_head, session, writer_epoch)
    VALUES (tabellion_record('number', coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), 1),
            NEW.seq_no,
            tabellion_record('pid', coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), 1),
            tabellion_record('ledger_head', coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), 1),
            tabellion_record('session', coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), 1),
            tabellion_record('writer_epoch', coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), NEW.writer_epoch));
END;

-- Many records to an event.
CREATE TRIGGER events_derive_adopted AFTER INSERT ON events WHEN NEW.event_type = 'adopted' BEGIN
  INSERT INTO verdicts (pid, seq_no)
    SELECT unhex(d.value ->> 1), NEW.seq_no
    FROM json_each(tabellion_adopted(coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), NEW.writer_epoch)) d;
  INSERT INTO records (number, seq_no, pid, ledger_head, session, writer_epoch)
    SELECT d.value ->> 0, NEW.seq_no, unhex(d.value ->> 1), unhex(d.value ->> 2), d.value ->> 3, d.value ->> 4
    FROM json_each(tabellion_adopted(coalesce(NEW.payload, (SELECT bytes FROM payloads WHERE sha256 = substr(NEW.payload_ref, 4, 32))), NEW.writer_epoch)) d;
END;

CREATE TRIGGER payloads_guard BEFORE INSERT ON payloads
WHEN NEW.sha256 IS NOT tabellion_sha256(NEW.bytes) OR EXISTS (SELECT 1 FROM payloads WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'sha256 is not that of the bytes, or they are there already'); END;

CREATE TRIGGER payloads_no_update BEFORE UPDATE ON payloads BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER payloads_no_delete BEFORE DELETE ON payloads BEGIN SELECT RAISE(ABORT, 'append-only'); END;

CREATE TRIGGER records_guard_number BEFORE INSERT ON records
WHEN NEW.number IS NOT coalesce((SELECT max(number) FROM records), 0) + 1
BEGIN SELECT RAISE(ABORT, 'number of the record is not the next number'); END;

-- Record key 7 against what the database saw. A proposer's domain is founded without session 0, and its records carry zeros (SPEC 4.4).
-- Adopted records carry the head of the ledger that made them.
CREATE TRIGGER records_guard_ledger_head BEFORE INSERT ON records
WHEN (SELECT event_type FROM events WHERE seq_no = NEW.seq_no) IS NOT 'adopted' AND NEW.ledger_head IS NOT CASE
  WHEN (SELECT event_id FROM events WHERE seq_no = 1) IS '0/0' THEN
    (SELECT o.prev_event_hash FROM events o WHERE o.seq_no = (SELECT max(seq_no) FROM events INDEXED BY events_opened WHERE event_type = 'opened'))
  ELSE zeroblob(32) END
BEGIN SELECT RAISE(ABORT, 'ledger head in the record is not the event before the last opened'); END;

CREATE TRIGGER records_guard_epoch BEFORE INSERT ON records
WHEN NEW.writer_epoch IS NOT coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1)
  AND (NEW.writer_epoch > coalesce((SELECT writer_epoch FROM records ORDER BY number DESC LIMIT 1), 1)) IS NOT 1
BEGIN SELECT RAISE(ABORT, 'writer_epoch of the record goes back'); END;

CREATE TRIGGER records_guard_event BEFORE INSERT ON records
WHEN NEW.seq_no IS NOT (SELECT max(seq_no) FROM events)
  OR tabellion_is_record((SELECT event_type FROM events WHERE seq_no = NEW.seq_no),
       (SELECT coalesce(e.payload, (SELECT p.bytes FROM payloads p WHERE p.sha256 = substr(e.payload_ref, 4, 32)))
        FROM events e WHERE e.seq_no = NEW.seq_no AND e.event_type = 'verdict'),
       NEW.number, NEW.pid, NEW.ledger_head, NEW.session) IS NOT 1
BEGIN SELECT RAISE(ABORT, 'the record is not that of the last event'); END;

CREATE TRIGGER records_no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER records_no_delete BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'append-only'); END;

CREATE TRIGGER verdicts_guard_once BEFORE INSERT ON verdicts
WHEN EXISTS (SELECT 1 FROM verdicts WHERE pid IS NEW.pid)
BEGIN SELECT RAISE(ABORT, 'the paper has its final verdict already'); END;

CREATE TRIGGER verdicts_guard_event BEFORE INSERT ON verdicts
WHEN NEW.seq_no IS NOT (SELECT max(seq_no) FROM events)
  OR tabellion_is_decided((SELECT event_type FROM events WHERE seq_no = NEW.seq_no),
       (SELECT coalesce(e.payload, (SELECT p.bytes FROM payloads p WHERE p.sha256 = substr(e.payload_ref, 4, 32)))
        FROM events e WHERE e.seq_no = NEW.seq_no AND e.event_type = 'verdict'),
       NEW.pid) IS NOT 1
BEGIN SELECT RAISE(ABORT, 'the verdict is not that of the last event'); END;

CREATE TRIGGER verdicts_no_update BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER verdicts_no_delete BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'append-only'); END;
