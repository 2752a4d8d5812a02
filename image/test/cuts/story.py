"""One recording: the disks before, the logs of their writes, what the operator was told and when, and how an operator goes on after a cut.

A folder with `facts.json`, and for each disk `<name>.img` as it was before, and `<name>.log`. Owns that folder's form.
"""

import json
import os
import shutil

import cuts
import files
from desk import Acknowledged, Texts, texts_in
from writes import Log

# The report tells of the run that wrote it, and a run that finds its papers decided gives their receipts once more.
SKIPPED = ("tabellion/results/report.",)
MORE = ("tabellion/heads/", "tabellion/results/again.receipts")


class Story:
    """A finished recording. `told` are (counts of entries by disk, number, sealed); `samples` counts of all logs at moments, in order."""

    def __init__(self, folder, chance):
        self.folder, self.chance = folder, chance
        with open(os.path.join(folder, "facts.json"), encoding="utf-8") as file:
            facts = json.load(file)
        self.desk, self.sticks = facts["desk"], facts["sticks"]
        self.samples, self.told, self.head, self.time = facts["samples"], facts["told"], facts["head"], facts["time"]
        self.passphrase, self.number_before = facts["passphrase"], facts["number_before"]
        self.logs = {name: Log(self.path(name, "log")) for name in [self.desk, *self.sticks]}
        self.acknowledged = [Acknowledged(told["counts"][self.desk], told["number"], told["sealed"]) for told in self.told]
        self.finals, self.trees = {}, {}

    def path(self, name, kind):
        """A file of the recording."""
        return os.path.join(self.folder, f"{name}.{kind}")

    def is_founded_at(self, _boundary):
        """These recordings begin with a founded desk."""
        return True

    def before_number(self, number):
        """What is sealed on a desk whose last session is not."""
        return self.number_before if number > self.number_before else 0

    def moment(self, boundary):
        """Between which of the things the operator was told a boundary lies."""
        return len([told for told in self.acknowledged if told.at <= boundary])

    def can_go_on(self):
        """Whether there is a stick to go on with."""
        return bool(self.sticks)

    def stick_at(self, name, boundary):
        """How far a stick surely was when the desk's disk had so many entries, and how far it may have been."""
        sure = max((sample[name] for sample in self.samples if sample[self.desk] <= boundary), default=0)
        return sure

    def desk_at(self, name, boundary):
        """How far the desk's disk may have been, at most, when a stick had so many entries: sticks are sampled before it."""
        return next((sample[self.desk] for sample in self.samples if sample[name] >= boundary), len(self.logs[self.desk].entries))

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

    def final(self, name, work):
        """A stick's files at the end."""
        if name not in self.finals:
            end = len(self.logs[name].entries)
            self.finals[name] = self.tree_at(name, cuts.Cut(end, "end", end, []), work)
        return self.finals[name]

    def go_on(self, program, desk, cut, facts, work, seen):
        """The operator starts again on a desk, with the sticks as they were at that moment, and the same papers come out with the same signatures."""
        case = os.path.join(work, "again")
        shutil.rmtree(case, ignore_errors=True)
        os.makedirs(case)
        shutil.copytree(desk, os.path.join(case, "desk"))
        with open(os.path.join(case, "passphrase"), "w", encoding="utf-8") as file:
            file.write(self.passphrase + "\n")
        wrong, words = [], []
        for name in self.sticks:
            boundary = self.stick_at(name, cut.boundary)
            log = self.logs[name]
            left = self.chance.choice(list(cuts.Plan(3, 2, seed=f"{name}/{cut.name()}").at(log.entries, boundary)))
            try:
                tree = self.tree_at(name, left, work)
            except files.Unreadable as fault:
                wrong.append(f"{name}, {left.name()}: {fault}")
                continue
            put(tree, os.path.join(case, name))
            words += ["--media", os.path.join(case, name)]
        before = self.head
        code, said = program.answer("witness", "session", "--ledger", os.path.join(case, "desk"), *words, "--expect-head", before, "--yes",
                                    "--time", self.time, "--passphrase-file", os.path.join(case, "passphrase"))
        if code == 2 and "head-unexpected" in json.dumps(said) or "expect" in json.dumps(said.get("stop", {})):
            code, said = self.with_new_head(program, case, words)
        if code not in (0, 1):
            return wrong + [f"the next session ends with {code}: {json.dumps(said)[:800]}"]
        for name in self.sticks:
            tree = files.of_folder(os.path.join(case, name))
            seen.texts.add_tree(tree, f"{cut.name()}: after starting again")
            expected = self.final(name, work)
            for path, data in expected.files.items():
                if not path.startswith(SKIPPED) and tree.files.get(path) != data:
                    wrong.append(f"after starting again {path} is not what the undisturbed session wrote")
            wrong += [f"after starting again {path} is left" for path in tree.files if path not in expected.files and not path.startswith(MORE)]
        return wrong

    def with_new_head(self, program, case, words):
        """The operator has seen the new head already."""
        _, said = program.answer("witness", "status", "--ledger", os.path.join(case, "desk"))
        head = said["answer"]["head"]
        return program.answer("witness", "session", "--ledger", os.path.join(case, "desk"), *words, "--expect-head",
                              f"{head['number']}:{head['words']}", "--yes", "--time", self.time, "--passphrase-file", os.path.join(case, "passphrase"))


def put(tree, folder):
    """Writes a stick's files to a folder. What cannot be read is not there."""
    os.makedirs(folder)
    for inside in sorted(tree.folders):
        os.makedirs(os.path.join(folder, inside), exist_ok=True)
    for path, data in tree.files.items():
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "wb") as file:
            file.write(data)


def notes_of(tree):
    """The signed texts of a stick at rest."""
    texts = Texts()
    texts.add_tree(tree, "at rest")
    return texts
