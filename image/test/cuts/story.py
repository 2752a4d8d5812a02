"""One recording: the disks before, the logs of their writes, what the operator was told and when, and how an operator goes on after a cut.

A folder with `facts.json`, and for each disk `<name>.img` as it was before, and `<name>.log`. Owns that folder's form.
"""

import json
import os
import random
import shutil

import cuts
import files
from desk import Acknowledged
from writes import Log

# The report tells of the run that wrote it, and a run that finds its papers decided gives their receipts once more.
SKIPPED = ("tabellion/results/report.",)
MORE = ("tabellion/heads/", "tabellion/results/again.receipts")


class Story:
    """A finished recording. `told` says what the operator was told, and how many entries each log had then; `samples` are counts of all logs."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "facts.json"), encoding="utf-8") as file:
            facts = json.load(file)
        self.desk, self.sticks, self.samples, self.told = facts["desk"], facts["sticks"], facts["samples"], facts["told"]
        self.heads, self.times, self.passphrase = facts["heads"], facts["times"], facts["passphrase"]
        self.logs = {name: Log(self.path(name, "log")) for name in [self.desk, *self.sticks]}
        self.acknowledged = [Acknowledged(told["counts"][self.desk], told["number"], told["sealed"]) for told in self.told]
        self.finals, self.seed = {}, 0

    def path(self, name, kind):
        """A file of the recording."""
        return os.path.join(self.folder, f"{name}.{kind}")

    def numbers(self):
        """The head before the first session and after each, as numbers."""
        return [int(head.split(":")[0]) for head in self.heads]

    def before_number(self, number):
        """What is sealed on a desk whose last session, which gave this number, is not."""
        return max(before for before in self.numbers() if before < number)

    def moment(self, boundary):
        """Between which of the things the operator was told a boundary lies."""
        return len([told for told in self.acknowledged if told.at <= boundary])

    def visit(self, boundary):
        """Which stick the operator goes on with: the first that was not yet safe to remove, or the last one once more."""
        done = len([told for told in self.acknowledged if told.sealed and told.at <= boundary])
        return min(done, len(self.sticks) - 1)

    def stick_at(self, name, boundary):
        """How far a stick surely was when the desk's disk had so many entries."""
        return max((sample[name] for sample in self.samples if sample[self.desk] <= boundary), default=0)

    def desk_at(self, name, boundary):
        """How far the desk's disk was, at most, when a stick had so many entries: sticks are sampled before it."""
        return next((sample[self.desk] for sample in self.samples if sample[name] >= boundary), len(self.logs[self.desk].entries))

    def safe_at(self, name):
        """From which entry on a stick was safe to remove."""
        return next(told["counts"][name] for told in self.told if told["sealed"] and told["stick"] == name)

    def disk(self, name, work):
        """A disk of the recording, for making cuts."""
        os.makedirs(work, exist_ok=True)
        return cuts.Disk(self.logs[name], self.path(name, "img"), work, files.window_of(self.path(name, "img")))

    def tree_at(self, name, cut, work):
        """A stick's files as a cut leaves them."""
        disk = self.disk(name, os.path.join(work, "other"))
        try:
            image = disk.make(cut)
            return files.read(files.kind_of(image), image)
        finally:
            disk.close()

    def first(self, name, work):
        """A stick's files before anything."""
        return self.tree_at(name, cuts.Cut(0, "start", 0, []), work)

    def final(self, name, work):
        """A stick's files at the end."""
        if name not in self.finals:
            end = len(self.logs[name].entries)
            self.finals[name] = self.tree_at(name, cuts.Cut(end, "end", end, []), work)
        return self.finals[name]

    def desk_then(self, boundary, folder):
        """The desk when its disk had so many entries, all of them done."""
        disk = self.disk(self.desk, folder)
        image = disk.make(cuts.Cut(boundary, "all", boundary, []))
        fault = files.mount_ext4(image)[0]
        if fault:
            raise files.Unreadable(fault)
        files.dump_ext4(image, os.path.join(folder, "files"))
        disk.close()
        return os.path.join(folder, "files", "desk")

    def go_on(self, program, desk, cut, work, seen):
        """The operator starts again with the stick of that moment: the same papers, numbers and signatures come out.

        Not with those that come later: a record names the ledger's last event before its session, and that event has what the operator typed to
        confirm the session before, which the program on the host asks for in another way.
        """
        case = os.path.join(work, "again")
        shutil.rmtree(case, ignore_errors=True)
        os.makedirs(case)
        shutil.copytree(desk, os.path.join(case, "desk"))
        with open(os.path.join(case, "passphrase"), "w", encoding="utf-8") as file:
            file.write(self.passphrase + "\n")
        return self.again(program, case, self.visit(cut.boundary), cut, work, seen)

    def again(self, program, case, visit, cut, work, seen):
        """One session over a stick as the same cut left it; the stick must then be as if nothing had been cut."""
        name = self.sticks[visit]
        stick, boundary = os.path.join(case, name), self.stick_at(name, cut.boundary)
        tries = list(cuts.Plan(3, 2, seed=f"{self.seed}/{name}/{cut.name()}").at(self.logs[name].entries, boundary))
        left = random.Random(f"{self.seed}/{cut.name()}").choice(tries)
        put(self.tree_at(name, left, work), stick)
        code, said = self.session(program, case, stick, self.heads[visit], self.times[visit])
        if code == 2 and "head-unexpected" in json.dumps(said):
            # Results were on the stick: the operator may have written the new head down already.
            code, said = self.session(program, case, stick, self.heads[visit + 1], self.times[visit])
        if code != 0:
            return [f"the next session, with {name}, {left.name()}, ends with {code}: {json.dumps(said)[:800]}"]
        tree, expected = files.of_folder(stick), self.final(name, work)
        seen.texts.add_tree(tree, f"{cut.name()}: after starting again")
        wrong = [f"after starting again {name}: {path} is not what the undisturbed session wrote"
                 for path, data in expected.files.items() if not path.startswith(SKIPPED) and tree.files.get(path) != data]
        return wrong + [f"after starting again {name}: {path} is left" for path in tree.files
                        if path not in expected.files and not path.startswith(MORE)]

    def session(self, program, case, stick, head, time):
        """A session on the host."""
        return program.answer("witness", "session", "--ledger", os.path.join(case, "desk"), "--media", stick, "--expect-head", head, "--yes", "--time",
                              time, "--passphrase-file", os.path.join(case, "passphrase"))


def put(tree, folder):
    """Writes a stick's files to a folder. What cannot be read is not there."""
    os.makedirs(folder)
    for inside in sorted(tree.folders):
        os.makedirs(os.path.join(folder, inside), exist_ok=True)
    for path, data in tree.files.items():
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "wb") as file:
            file.write(data)
