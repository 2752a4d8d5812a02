"""Tries every way into a ledger with the sqlite3 shell and with Python's sqlite3. Usage: boundary.py ATTACKS LEDGER FOLDER"""
import hashlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

COLUMNS = "(seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, signature, public_key_id, writer_epoch)"
NEXT = ("SELECT seq_no + 1, '99/0', 0, 'halt', x'a0', NULL, event_hash, zeroblob(64), public_key_id, writer_epoch"
        " FROM {l}events ORDER BY seq_no DESC LIMIT 1")


def attacks(path):
    for row in path.read_text().split("\n= ")[1:]:
        title, sql, *fields = row.strip().splitlines()
        ends = dict(field.split(maxsplit=1) for field in fields)
        yield title, sql.replace("{columns}", COLUMNS).replace("{next}", NEXT).replace("{l}", ""), ends["plain"], ends["off"]


def shell(path, text, *before):
    """What the sqlite3 shell says: None, or its error."""
    lines = "\n".join([".bail on", *before, text + ";"])
    done = subprocess.run(["sqlite3", "-batch", path], input=lines, capture_output=True, text=True, errors="replace", check=False)
    return done.stderr.strip() or None


def python(path, text, *_):
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.executescript(text)
        return None
    except sqlite3.Error as error:
        return str(error)
    finally:
        db.close()


def attached(path, text, *_):
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.execute("ATTACH ? AS l", [str(path)])
        db.executescript(text)
        return None
    except sqlite3.Error as error:
        return str(error)
    finally:
        db.close()


def dump(path):
    """SHA-256 of everything the ledger says, as the sqlite3 shell dumps it."""
    done = subprocess.run(["sqlite3", "-readonly", path, ".dump"], capture_output=True, check=True)
    assert done.stdout.count(b"INSERT INTO events") >= 1, "the dump has the events"
    return hashlib.sha256(done.stdout).hexdigest()


def try_out(program, path, text, expected, is_full, *before):
    """None when the row ends as expected, else what happened."""
    was = dump(path)
    said = program(path, text, *before)
    is_changed = dump(path) != was
    if expected == "nothing" or (expected == "changed" and not is_full):
        as_expected = said is None and not is_changed
    elif expected == "changed":
        as_expected = said is None and is_changed
    else:
        as_expected = not is_changed and (expected in (said or "") or (not is_full and said is None))
    return None if as_expected else f"said {said!r}, dump {'changed' if is_changed else 'unchanged'}; {expected!r} expected"


class Boundary:
    """One ledger, and what was tried on it."""

    def __init__(self, ledger, folder):
        self.ledger, self.folder, self.tried, self.failures = ledger, folder, 0, []
        rows = sqlite3.connect(ledger)
        # A row that changes payloads does nothing where there are none.
        self.empty = [table for table in ("payloads", "records", "verdicts") if not rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0]]
        rows.close()

    def copy(self):
        path = self.folder / "copy.db"
        for ending in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        shutil.copy(self.ledger, path)
        return path

    def check(self, title, failure):
        self.tried += 1
        if failure:
            self.failures.append(f"{title}: {failure}")

    def table(self, rows):
        for title, text, plain, off in rows:
            is_full = title.split(":")[0] not in self.empty or "INSERT" in title
            for program in (shell, python, attached):
                self.check(f"{program.__name__}, {title}", try_out(program, self.copy(), text, plain, is_full))
            # Versions of SQLite differ in whether the switch is for temporary triggers too, and in INSERT RETURNING into a view without one.
            if title.startswith("a temporary ") or title.endswith(" RETURNING"):
                continue
            self.check(f"shell, triggers off, {title}", try_out(shell, self.copy(), text, off, is_full, ".dbconfig enable_trigger off"))

    def in_place(self):
        """Python's blobopen (3.11) writes a cell past every trigger, unless some index holds it."""
        db = sqlite3.connect(self.copy(), isolation_level=None)
        if not hasattr(db, "blobopen"):
            print("this Python has no blobopen: cells in place not tried")
            return
        for table, column in [("events", name) for name in ("payload", "event_type", "event_hash", "prev_event_hash", "signature", "public_key_id")] + [
                ("records", "pid"), ("records", "ledger_head"), ("verdicts", "pid")]:
            try:
                db.blobopen(table, column, 1).write(b"x")
                said = "written"
            except sqlite3.Error as error:
                said = str(error)
            refused = ("cannot open indexed column for writing", "cannot open table without rowid", "cannot open table with generated columns")
            self.check(f"blobopen {table}.{column}", None if any(words in said for words in refused) else said)
        db.close()

    def reading(self):
        """Whoever has only these programs reads everything."""
        path = self.copy()
        for text, expected in [("PRAGMA integrity_check", "ok"), ("PRAGMA quick_check", "ok"), ("SELECT count(*) > 0 FROM append", "1")]:
            done = subprocess.run(["sqlite3", "-readonly", path, text], capture_output=True, text=True, errors="replace", check=False)
            self.check(f"shell, {text}", None if done.stdout.strip() == expected else f"said {done.stdout + done.stderr!r}; {expected!r} expected")
            db = sqlite3.connect(path)
            found = str(db.execute(text).fetchone()[0])
            db.close()
            self.check(f"python, {text}", None if found == expected else f"{found!r}; {expected!r} expected")
        backup = self.folder / "backup.db"
        backup.unlink(missing_ok=True)
        said = shell(path, "SELECT 1", f".backup {backup}")
        self.check("shell, .backup", said or (None if dump(backup) == dump(path) else "the backup says something else"))
        # VACUUM writes every row anew, and the hash is generated: it needs our function, into another file too.
        for text in ("VACUUM", f"VACUUM INTO '{self.folder / 'vacuum.db'}'"):
            self.check(f"shell, {text}", try_out(shell, path, text, "tabellion_event_hash", True))

    def notices(self):
        """The check itself: each attack here succeeds, and must be noticed."""
        for title, text, before in [
                ("a dropped trigger", "DROP TRIGGER records_no_delete; DELETE FROM records", ()),
                ("writable_schema", "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'records_no_delete'", ()),
                ("pages written by the shell", "UPDATE sqlite_dbpage SET data = zeroblob(4096) WHERE pgno = (SELECT rootpage FROM sqlite_schema WHERE name = 'verdicts')", ()),
                ("triggers switched off", "DELETE FROM records", (".dbconfig enable_trigger off",))]:
            try:
                failure = try_out(shell, self.copy(), text, "append-only", True, *before)
            except (subprocess.CalledProcessError, AssertionError):
                failure = "the dump broke off"
            self.check(f"noticed: {title}", None if failure else "it succeeded and was not noticed")


def main():
    attacks_path, ledger, folder = (Path(argument) for argument in sys.argv[1:])
    boundary = Boundary(ledger, folder)
    before = dump(ledger)
    rows = list(attacks(attacks_path))
    boundary.table(rows)
    boundary.in_place()
    boundary.reading()
    boundary.notices()
    boundary.check("the ledger", None if dump(ledger) == before else "the dump of the ledger itself is another than before")
    for failure in boundary.failures:
        print(failure)
    print(f"{len(rows)} ways in; {boundary.tried} tries, {len(boundary.failures)} of which ended otherwise than they must; dump sha256:{before}")
    sys.exit(1 if boundary.failures or len(rows) < 70 else 0)


main()
