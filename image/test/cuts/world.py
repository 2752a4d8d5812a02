"""What there is before the machine starts: a founded desk with one session behind it, two proposers at home, and sticks with their papers.

Made by the program itself, on the host. Random contents come from a seed.
"""

import os
import random
import shutil

import files

PASSPHRASE = "a machine that is off nearly always"
POLICY = """governors = "board"
[[member]]
name = "alice"
keys = ["{alice}"]
[[member]]
name = "james"
keys = ["{james}"]
[[group]]
name = "board"
k = 2
of = ["alice", "james"]
[[rule]]
prefix = "tools/"
propose = ["alice", "james"]
content = "required"
size_max = 1000000
"""


class World:
    """Folders of a desk, two members and a medium between them."""

    def __init__(self, program, folder, seed):
        self.program, self.folder, self.chance = program, folder, random.Random(seed)
        os.makedirs(folder)
        for who in ("alice", "james", "safe"):
            os.makedirs(self.path(who))
            self.write(f"{who}/passphrase", f"{who} has a long passphrase\n")
            self.does("key", "new", self.path(who, "key"), "--passphrase-file", self.path(who, "passphrase"))
        self.write("passphrase", PASSPHRASE + "\n")
        public = {who: self.does("key", "show", self.path(who, "key"), "--public").strip() for who in ("alice", "james")}
        following = self.does("key", "show", self.path("safe/key"), "--vkey", "witness.example/common").strip()
        self.write("policy.toml", POLICY.format(**public))
        opened = ("--passphrase-file", self.path("passphrase"))
        self.does("witness", "init", self.path("desk"), "--policy", self.path("policy.toml"), "--next-key", following, *opened)
        for who in ("alice", "james"):
            self.does("approve", self.path("desk/charter.payload"), *self.signs(who), "--yes")
        self.does("witness", "init", self.path("desk"), "--charter", self.path("desk/charter.cose"), "--time", "2026-11-20T10:00:00Z", *opened)
        os.makedirs(self.path("stick"))
        self.does("witness", "export", "--ledger", self.path("desk"), "--media", self.path("stick"))
        fingerprint = self.does("witness", "status", "--ledger", self.path("desk"), "--fingerprint").strip()
        for who in ("alice", "james"):
            self.does("pin", self.path("stick"), "--charter", fingerprint, "--out", self.path(who, "common.pin"))

    def path(self, *parts):
        """A path of this world."""
        return os.path.join(self.folder, *parts)

    def write(self, path, text):
        """A text file of this world."""
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(text)

    def does(self, *words):
        """Runs the program; it must succeed."""
        code, out, said = self.program.run(*words)
        if code != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {code}: {said}")
        return out.decode()

    def signs(self, who):
        """The options of somebody who signs."""
        return "--key", self.path(who, "key"), "--passphrase-file", self.path(who, "passphrase")

    def propose(self, who, name, size, medium):
        """A paper with content, onto a medium."""
        content = self.path(who, name.replace("/", "-") + str(size))
        with open(content, "wb") as file:
            file.write(self.chance.randbytes(size))
        self.does("propose", "put", f"{name}={content}", "--pin", self.path(who, "common.pin"), *self.signs(who), "--media", self.path(medium))

    def session(self, medium, time):
        """A session on the host, whose results everybody takes home."""
        head = self.head()
        self.does("witness", "session", "--ledger", self.path("desk"), "--media", self.path(medium), "--expect-head", head, "--yes", "--time", time,
                  "--passphrase-file", self.path("passphrase"))
        for who in ("alice", "james"):
            self.does("collect", self.path(medium), "--pin", self.path(who, "common.pin"))
            self.does("advance", self.path(medium), "--pin", self.path(who, "common.pin"))

    def head(self):
        """The head as the operator has it on paper: the number and its words."""
        return self.does("witness", "status", "--ledger", self.path("desk"), "--head").strip()

    def copy(self, medium, name):
        """A second medium with the same on it."""
        shutil.copytree(self.path(medium), self.path(name))


def make(program, folder, seed):
    """A desk at common@3; a stick `a` with its results and two papers, a stick `b` with the same results and one more, a stick `c` likewise."""
    world = World(program, folder, seed)
    world.propose("alice", "tools/editor", 70_000, "stick")
    world.propose("james", "tools/viewer", 3_000, "stick")
    world.session("stick", "2026-11-20T12:00:00Z")
    for name in ("a", "b", "c"):
        world.copy("stick", name)
    world.propose("alice", "tools/editor", 50_000, "a")
    world.propose("james", "tools/reader", 30_000, "a")
    world.propose("alice", "tools/scanner", 9_000, "b")
    world.propose("james", "tools/printer", 500, "c")
    return world


def content(world, name):
    """A medium's files."""
    return files.of_folder(world.path(name)).files
