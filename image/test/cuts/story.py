"""One recording: the disks before, the logs of their writes, and what the operator was told and when.

A folder with `facts.json`, and for each disk `<name>.img` as it was before, and `<name>.log`. Owns that folder's form; how an operator goes on
after a cut is of `sessions` and `founding`.
"""

import json
import os
import random

import cuts
import files
from writes import Log


class Acknowledged:
    """The operator was told, when the log had so many entries, that `number` is committed; `sealed` when its signatures were safe as well."""

    def __init__(self, at, number, sealed):
        self.at, self.number, self.sealed = at, number, sealed


class Story:
    """A finished recording. `told` says what the operator was told, and how many entries each log had then; `samples` are counts of all logs."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "facts.json"), encoding="utf-8") as file:
            self.facts = json.load(file)
        self.desk, self.sticks, self.samples, self.told = (self.facts[name] for name in ("desk", "sticks", "samples", "told"))
        self.logs = {name: Log(self.path(name, "log")) for name in [self.desk, *self.sticks]}
        self.acknowledged = [Acknowledged(told["counts"][self.desk], told["number"], told["sealed"]) for told in self.told]
        self.finals, self.seed = {}, 0

    def path(self, name, kind):
        """A file of the recording."""
        return os.path.join(self.folder, f"{name}.{kind}")

    def visit(self, boundary):
        """Which stick the operator goes on with: the first that was not yet safe to remove, or the last one once more."""
        done = len([told for told in self.told if told["safe"] and told["counts"][self.desk] <= boundary])
        return min(done, len(self.sticks) - 1)

    def stick_at(self, name, boundary):
        """How far a stick surely was when the desk's disk had so many entries."""
        return max((sample[name] for sample in self.samples if sample[self.desk] <= boundary), default=0)

    def desk_at(self, name, boundary):
        """How far the desk's disk was, at most, when a stick had so many entries: sticks are sampled before it."""
        return next((sample[self.desk] for sample in self.samples if sample[name] >= boundary), len(self.logs[self.desk].entries))

    def safe_at(self, name):
        """From which entry on a stick was safe to remove."""
        return next(told["counts"][name] for told in self.told if told["safe"] == name)

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

    def left(self, name, cut, work):
        """A stick as a cut of the desk's disk may leave it at the same moment, by chance: which cut of it, and its files."""
        boundary = self.stick_at(name, cut.boundary)
        tries = list(cuts.Plan(3, 2, seed=f"{self.seed}/{name}/{cut.name()}").at(self.logs[name].entries, boundary))
        left = random.Random(f"{self.seed}/{cut.name()}").choice(tries)
        return left, self.tree_at(name, left, work)

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


def put(tree, folder):
    """Writes a stick's files to a folder. What cannot be read is not there."""
    os.makedirs(folder)
    for inside in sorted(tree.folders):
        os.makedirs(os.path.join(folder, inside), exist_ok=True)
    for path, data in tree.files.items():
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "wb") as file:
            file.write(data)
