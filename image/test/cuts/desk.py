"""Judges what a power cut left of the data partition: with the file system's own checker, and with the program as its operator has it.

Owns what must hold of a desk after a cut. Never mends anything: what a plain start repairs is counted.
"""

import collections
import hashlib
import json
import os
import re
import shutil
import subprocess
import time

import files

# The file by which the appliance knows its data partition, and the ledger's in the desk.
OURS, LEDGER = "tabellion-data", "ledger.db"
# A signed checkpoint, wherever it stands: origin, number, root, lines of ours, an empty line, signatures.
NOTE = re.compile(rb"([!-~]+/[!-~]+)\n(\d+)\n([A-Za-z0-9+/]{43}=)\n\n((?:\xe2\x80\x94 [^\n]+\n)+)")


def texts_in(data):
    """The signed checkpoints in some bytes, as (number, text)."""
    return [(int(found[2]), found[0]) for found in NOTE.finditer(data)]


class Texts:
    """Every signed text that was ever seen: of one number there is one."""

    def __init__(self):
        self.known, self.violations = {}, []

    def add(self, number, text, where):
        """Enters a text."""
        first = self.known.setdefault(number, text)
        if first != text:
            self.violations.append(f"{where}: two signed texts of number {number}")

    def merge(self, seen):
        """Enters all that was found on disks of one recording."""
        for number, text in seen.texts.known.items():
            self.add(number, text, "all disks")

    def add_tree(self, tree, where):
        """Enters all of a medium. What is under a temporary name may break off."""
        for path, data in tree.files.items():
            for number, text in texts_in(data):
                if not path.endswith(".part"):
                    self.add(number, text, f"{where}: {path}")


class Seen:
    """What was found of one disk: violations, and what is allowed and counted."""

    def __init__(self):
        self.tried, self.bad, self.violations, self.counts = 0, 0, [], collections.Counter()
        # How far every disk is that may be left at a boundary, at least: by the name of a step and the boundary.
        self.least = {}
        self.texts = Texts()

    def reached(self, step, boundary, far):
        """A disk that may be left at this boundary has come so far with a step."""
        self.least[step, boundary] = min(far, self.least.get((step, boundary), far))

    def at_least(self, step):
        """How far every disk is with a step, by boundary."""
        return {boundary: far for (of, boundary), far in self.least.items() if of == step}

    def found(self):
        """How many violations there are so far."""
        return len(self.violations) + len(self.texts.violations)

    def add(self, other):
        """Adds what another process found."""
        self.tried += other.tried
        self.bad += other.bad
        self.violations += other.violations
        self.counts += other.counts
        for (step, boundary), far in other.least.items():
            self.reached(step, boundary, far)
        for number, text in other.texts.known.items():
            self.texts.add(number, text, "another disk")
        self.violations += other.texts.violations + self.texts.violations
        other.texts.violations, self.texts.violations = [], []


class Program:
    """The program on the host."""

    def __init__(self, path):
        self.path = path

    def run(self, *words):
        """Exit code, stdout and stderr."""
        environment = {**os.environ, "NO_COLOR": "1"}
        done = subprocess.run([self.path, *words], stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=120)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def answer(self, *words):
        """Exit code and the JSON document."""
        code, out, said = self.run(*words, "--json")
        try:
            return code, json.loads(out)
        except ValueError:
            return code, {"said": said or out.decode(errors="replace")}

    def head(self, desk):
        """A desk's head as it stands on paper, and the time that its last session claimed."""
        answer = self.answer("witness", "status", "--ledger", desk)[1]["answer"]
        head, claim = answer["head"], answer["metrics"].get("last_time_claim")
        return f"{head['number']}:{head['words']}", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claim))


class Judge:
    """Judges disks of one recording. `story` says what was acknowledged, and how the operator goes on: on one disk of `every` so many, 0 for none."""

    # Reading an ext4 changes it: its journal is replayed.
    is_reader = False

    def __init__(self, program, story, work, every):
        self.program, self.story, self.work, self.every = program, story, work, every
        self.known, self.went_on = {}, {}

    def look(self, image, cut, seen):
        """Enters in `seen` what is wrong with the disk in this file."""
        seen.tried += 1
        fault, untidy = files.mount_ext4(image)
        if fault:
            seen.violations.append(f"{cut.name()}: {fault}")
            return
        seen.counts.update(untidy)
        folder = os.path.join(self.work, "data")
        said = files.dump_ext4(image, folder)[1]
        if not os.path.isfile(os.path.join(folder, OURS)):
            seen.violations.append(f"{cut.name()}: the file {OURS} is gone, and nobody takes the disk for ours: {said.strip()}")
            return
        desk = os.path.join(folder, "desk")
        key = digest(desk)
        if key not in self.known:
            self.known[key] = self.judge(desk)
        facts = self.known[key]
        self.enter(cut, facts, seen)
        if self.every and not facts.wrong:
            self.go_on(cut, facts, desk, seen)

    def enter(self, cut, facts, seen):
        """Compares a desk with what was acknowledged."""
        seen.violations += [f"{cut.name()}: {wrong}" for wrong in facts.wrong]
        seen.counts.update(facts.repairs)
        seen.reached("committed", cut.boundary, facts.number or 0)
        seen.reached("sealed", cut.boundary, facts.sealed or 0)
        for told in self.story.acknowledged:
            if cut.boundary < told.at:
                continue
            if (facts.number or 0) < told.number:
                seen.violations.append(f"{cut.name()}: number {told.number} is lost; it was acknowledged at {told.at}, the head is {facts.number}")
            elif told.sealed and (facts.sealed or 0) < told.number:
                seen.violations.append(f"{cut.name()}: the signature of {told.number} is lost; it was safe on a stick at {told.at}")
        for number, text in facts.texts:
            seen.texts.add(number, text, f"{cut.name()}: exported")

    def judge(self, desk):
        """What a desk is, by the program's own start-up check and by an export of it."""
        if not os.path.isfile(os.path.join(desk, LEDGER)):
            return Facts(["the ledger is not there"])
        look = os.path.join(self.work, "look")
        copy(desk, look)
        code, said = self.program.answer("witness", "integrity", "--ledger", look)
        answer = said.get("answer") or {}
        facts = Facts()
        if code != 0 or answer.get("health", {}).get("state") != "ok":
            facts.wrong.append(f"integrity ends with {code}: {json.dumps(said)[:600]}")
            return facts
        facts.number = answer["head"]["number"]
        facts.head = f"{facts.number}:{answer['head']['words']}"
        facts.last = answer["last_event"]["event_hash"]
        if answer["head_file"]["state"] != "equal":
            facts.repairs.append(f"head file {answer['head_file']['state']}")
        medium = os.path.join(self.work, "export")
        shutil.rmtree(medium, ignore_errors=True)
        os.makedirs(medium)
        code, said = self.program.answer("witness", "export", "--ledger", look, "--media", medium)
        if code == 0:
            tree = files.of_folder(medium)
            facts.texts = sorted({found for data in tree.files.values() for found in texts_in(data)})
            facts.sealed = max((number for number, _ in facts.texts), default=0)
            if facts.sealed != facts.number:
                facts.wrong.append(f"the head is {facts.number}, the newest signed {facts.sealed}")
        elif "not sealed" in json.dumps(said):
            facts.repairs.append("session not sealed")
            facts.sealed = self.story.before_number(facts.number)
        else:
            facts.wrong.append(f"export ends with {code}: {json.dumps(said)[:600]}")
        return facts

    def kind(self, facts, desk):
        """Desks of one kind go on alike."""
        return facts.last, rest(desk)

    def go_on(self, cut, facts, desk, seen):
        """The operator starts again, with the sticks as the same cut left them: once for each kind of desk, and of every so many cuts."""
        kind = (self.kind(facts, desk), self.story.visit(cut.boundary))
        if kind in self.went_on and seen.tried % self.every:
            return
        self.went_on[kind] = True
        seen.counts["started again"] += 1
        for wrong in self.story.go_on(self.program, desk, cut, self.work, seen):
            seen.violations.append(f"{cut.name()}: {wrong}")


class Facts:
    """What a desk is."""

    def __init__(self, wrong=()):
        self.wrong, self.repairs, self.texts = list(wrong), [], []
        self.number = self.head = self.last = self.sealed = None


def copy(source, target):
    """Copies a folder to a place of its own."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def digest(folder):
    """Equal digests are equal folders."""
    whole = hashlib.sha256()
    tree = files.of_folder(folder)
    for path in sorted(tree.files):
        whole.update(f"{path}\0{len(tree.files[path])}\0".encode() + tree.files[path])
    return whole.digest()


def rest(desk):
    """What lies beside the ledger, which has a chain of its own."""
    tree = files.of_folder(desk)
    names = [path for path in sorted(tree.files) if not path.startswith(("ledger.db", "audit.db", "lock"))]
    return hashlib.sha256(b"".join(path.encode() + b"\0" + hashlib.sha256(tree.files[path]).digest() for path in names)).digest()
