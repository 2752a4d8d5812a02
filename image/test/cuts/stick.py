"""Judges what a power cut left of a stick that results were being written to: each file as it was, absent, or complete and new.

Owns what must hold of a stick. A file under a temporary name may be anything; a stick that a checker would tidy up is counted.
"""

import re

import files
from desk import texts_in

TEMPORARY = "tmp-0.part"
CHECKPOINT = "tabellion/common/checkpoint"
# A short name of FAT, whose long one did not come to the disk.
SHORT = re.compile(r"^[A-Z0-9_@!#$%&'()^`{}-]{1,6}~[0-9](\.[A-Z0-9]{0,3})?$")
OURS = ("tabellion/common/", "tabellion/results/")


def volatile(path):
    """Whether a path is a temporary name's, or in a folder that has only a short name yet."""
    parts = path.split("/")
    return parts[-1] == TEMPORARY or any(SHORT.match(part) for part in parts)


class Judge:
    """`generations` are the trees at rest, from the first to the last; `safe` the boundaries from which on each of them is on the stick.

    `least_at` says how far every desk was with a step that a cut at a boundary of the stick may leave.
    """

    def __init__(self, kind, generations, safe, least_at):
        self.kind, self.generations, self.safe, self.least_at = kind, generations, safe, least_at
        # Reading an ext4 changes it: its journal is replayed.
        self.is_reader = kind != "ext4"
        self.allowed = {}
        for tree in generations:
            for path, data in tree.files.items():
                self.allowed.setdefault(path, set()).add(data)
        self.brought = {path: data for path, data in generations[0].files.items() if not path.startswith(OURS)}

    def look(self, image, cut, seen):
        """Enters in `seen` what is wrong with the stick in this file."""
        seen.tried += 1
        try:
            tree = files.read(self.kind, image)
        except files.Unreadable as fault:
            seen.violations.append(f"{cut.name()}: {fault}")
            return
        seen.counts.update(tree.untidy)
        wrong = [f"{path} is broken: {why}" for path, why in tree.broken.items() if not volatile(path)]
        for path, data in [*tree.files.items(), *tree.twins]:
            if volatile(path):
                seen.counts["temporary name"] += 1
            elif data not in self.allowed.get(path, ()):
                wrong.append(f"{path} is half: {len(data)} bytes found, {sorted(map(len, self.allowed.get(path, ())))} expected")
        wrong += [f"{path}, which was brought, is gone" for path in self.brought if path not in tree.files]
        wrong += self.compare(tree, cut, seen)
        wrong += self.early(tree, cut, seen)
        seen.violations += [f"{cut.name()}: {text}" for text in wrong]

    def early(self, tree, cut, seen):
        """A note under a final name was signed; so it was committed and sealed before, on the disk."""
        wrong = []
        for path, data in tree.files.items():
            for number, text in texts_in(data):
                if not volatile(path):
                    seen.texts.add(number, text, f"{cut.name()}: {path}")
                if number > self.least_at("sealed", cut.boundary):
                    wrong.append(f"{path} has signed number {number}, of which the desk that the same cut leaves knows nothing")
        return wrong

    def compare(self, tree, cut, seen):
        """The checkpoint comes last, and what was said to be safe is all there."""
        first, last = self.generations[0].files, self.generations[-1].files
        for path in first:
            if path.startswith(OURS) and path in last and path not in tree.files:
                seen.counts["the checkpoint absent" if path == CHECKPOINT else "an old file absent"] += 1
        newest = [n for n, generation in enumerate(self.generations) if tree.files.get(CHECKPOINT, b"") == generation.files.get(CHECKPOINT)]
        if cut.boundary >= self.safe[-1]:
            return [f"{path} is missing, and it was safe to remove" for path in last if tree.files.get(path) != last[path]]
        wrong = []
        for path in self.generations[newest[-1]].files if newest else ():
            later = [generation.files.get(path) for generation in self.generations[newest[-1] :]]
            if path.startswith(OURS[0]) and tree.files.get(path, b"") not in later:
                wrong.append(f"{path} is missing, and the checkpoint with it is there")
        return wrong
