-- The audit trail: who asked this folder's ledger for what, and what became of it (SPEC 7.12). Nothing signed depends on it.
-- Guards are RAISE(ABORT) in triggers, as in schema.sql: OR IGNORE and OR REPLACE override constraints. No table has a rowid, so that
-- sqlite3_blob_write has no way in. Unlike the ledger it takes rows from every connection: whoever may write the folder may say anything.

PRAGMA application_id = 1415668340; -- "Tabt"
PRAGMA user_version = 1;

-- One row a request, before it has any effect.
CREATE TABLE requests (
  number          INTEGER NOT NULL PRIMARY KEY,
  request_id      BLOB NOT NULL UNIQUE,
  at              INTEGER NOT NULL,
  uid             INTEGER NOT NULL,
  pid             INTEGER NOT NULL,
  program         TEXT NOT NULL,
  ledger          TEXT NOT NULL,
  type            TEXT NOT NULL,
  is_write        INTEGER NOT NULL,
  key             TEXT NOT NULL,
  idempotency_key TEXT
) STRICT, WITHOUT ROWID;

-- One row a request that ended, under its number. A request without one is unfinished: it runs, or its process ended.
CREATE TABLE outcomes (
  number     INTEGER NOT NULL PRIMARY KEY,
  status     TEXT NOT NULL,
  rule       TEXT NOT NULL,
  latency_us INTEGER NOT NULL,
  affected   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The first answer to each idempotency key, with the SHA-256 of the request that it answers.
CREATE TABLE answers (
  key            TEXT NOT NULL PRIMARY KEY,
  request_sha256 BLOB NOT NULL,
  answer         BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Both halves in one row, for whoever looks with a program of their own.
CREATE VIEW trail (number, request_id, time, uid, pid, program, ledger, type, is_write, key, idempotency_key, status, rule, latency_us, affected) AS
  SELECT r.number, lower(hex(r.request_id)), iif(r.at = 0, NULL, strftime('%Y-%m-%dT%H:%M:%SZ', r.at, 'unixepoch')), r.uid, r.pid, r.program,
         r.ledger, r.type, r.is_write, r.key, r.idempotency_key, coalesce(o.status, 'unfinished'), o.rule, o.latency_us, o.affected
  FROM requests r LEFT JOIN outcomes o ON o.number = r.number;

-- The first that applies speaks.
CREATE TRIGGER requests_guard BEFORE INSERT ON requests BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM requests WHERE request_id IS NEW.request_id)
      THEN RAISE(ABORT, 'the request is there already')
    WHEN NEW.number IS NOT coalesce((SELECT max(number) FROM requests), 0) + 1
      THEN RAISE(ABORT, 'number is not the next number')
    WHEN length(NEW.request_id) IS NOT 16
      THEN RAISE(ABORT, 'request_id is not 16 bytes')
    WHEN (NEW.at BETWEEN 0 AND 9007199254740991) IS NOT 1
      OR (NEW.uid BETWEEN 0 AND 4294967295) IS NOT 1
      OR (NEW.pid BETWEEN 0 AND 4294967295) IS NOT 1
      OR (NEW.is_write IN (0, 1)) IS NOT 1
      THEN RAISE(ABORT, 'a number is out of its bounds')
    WHEN (length(CAST(NEW.program AS BLOB)) BETWEEN 1 AND 128) IS NOT 1
      OR (length(CAST(NEW.ledger AS BLOB)) BETWEEN 1 AND 4096) IS NOT 1
      OR (length(CAST(NEW.type AS BLOB)) BETWEEN 1 AND 64) IS NOT 1
      OR (length(CAST(NEW.key AS BLOB)) <= 512) IS NOT 1
      OR (length(CAST(coalesce(NEW.idempotency_key, 'none') AS BLOB)) BETWEEN 1 AND 256) IS NOT 1
      THEN RAISE(ABORT, 'a text is out of its bounds')
  END;
END;

CREATE TRIGGER outcomes_guard BEFORE INSERT ON outcomes BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM outcomes WHERE number IS NEW.number)
      THEN RAISE(ABORT, 'the request has its outcome already')
    WHEN NOT EXISTS (SELECT 1 FROM requests WHERE number IS NEW.number)
      THEN RAISE(ABORT, 'the outcome has no request')
    WHEN (NEW.status IN ('done', 'refused', 'failed', 'expired', 'cancelled', 'joined', 'cached')) IS NOT 1
      THEN RAISE(ABORT, 'status is none of the seven words')
    WHEN (NEW.latency_us BETWEEN 0 AND 9007199254740991) IS NOT 1
      THEN RAISE(ABORT, 'a number is out of its bounds')
    WHEN (length(CAST(NEW.rule AS BLOB)) <= 64) IS NOT 1 OR (length(CAST(NEW.affected AS BLOB)) <= 4096) IS NOT 1
      THEN RAISE(ABORT, 'a text is out of its bounds')
  END;
END;

CREATE TRIGGER answers_guard BEFORE INSERT ON answers BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM answers WHERE key IS NEW.key)
      THEN RAISE(ABORT, 'the key has its answer already')
    WHEN (length(CAST(NEW.key AS BLOB)) BETWEEN 1 AND 256) IS NOT 1
      THEN RAISE(ABORT, 'a text is out of its bounds')
    WHEN length(NEW.request_sha256) IS NOT 32 OR (length(NEW.answer) <= 65536) IS NOT 1
      THEN RAISE(ABORT, 'request_sha256 is not 32 bytes, or the answer is longer than 65536')
  END;
END;

CREATE TRIGGER requests_no_update BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER requests_no_delete BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER outcomes_no_update BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER outcomes_no_delete BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER answers_no_update BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER answers_no_delete BEFORE DELETE ON answers BEGIN SELECT RAISE(ABORT, 'append-only'); END;
