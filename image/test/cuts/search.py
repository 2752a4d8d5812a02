"""Goes through the boundaries of one disk on all processors, and has every disk that may be left looked at."""

import multiprocessing
import os
import shutil
import tempfile

import files
from desk import Seen
from stick import Judge

CHUNK = 12
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Task:
    """What is looked for: on which disk of which story, with which plan, at which boundaries."""

    def __init__(self, story, name, plan, judge, boundaries=None):
        self.story, self.name, self.plan, self.judge = story, name, plan, judge
        end = len(story.logs[name].entries)
        self.boundaries = range(end + 1) if boundaries is None else boundaries


TASK = None


def stick_judge(story, name, desk, kind=Judge):
    """A maker of judges of a stick. What was seen of the data partition says how far every desk was that the same cut may leave."""

    def least_at(step, boundary):
        return desk.least.get((step, story.desk_at(name, boundary)), 0)

    with tempfile.TemporaryDirectory(dir=MEMORY) as work:
        disk = story.disk(name, work)
        system = files.kind_of(disk.safe_path)
        disk.close()
        generations = [story.first(name, work), story.final(name, work)]
    return lambda work: kind(system, generations, [0, story.safe_at(name)], least_at)


def search(task):
    """Everything that was seen. The seed is the plan's."""
    global TASK
    TASK = task
    boundaries = list(task.boundaries)
    chunks = [boundaries[at : at + CHUNK] for at in range(0, len(boundaries), CHUNK)]
    seen = Seen()
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        for part in pool.imap_unordered(chunk, chunks):
            seen.add(part)
    seen.violations.sort()
    return seen


def chunk(boundaries):
    """Some boundaries in their order, in one process."""
    seen, work = Seen(), tempfile.mkdtemp(prefix="cuts-", dir=MEMORY)
    try:
        disk = TASK.story.disk(TASK.name, os.path.join(work, "disk"))
        TASK.story.seed = TASK.plan.seed
        judge = judge_of(work)
        for boundary in boundaries:
            for cut in TASK.plan.at(TASK.story.logs[TASK.name].entries, boundary):
                found = seen.found()
                if judge.is_reader:
                    image, before = disk.lay_over(cut)
                    judge.look(image, cut, seen)
                    disk.take_off(before)
                else:
                    judge.look(disk.make(cut), cut, seen)
                seen.bad += seen.found() > found
        disk.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return seen


JUDGE = None


def judge_of(work):
    """One judge a process, so that what it knows of equal disks is kept from chunk to chunk."""
    global JUDGE
    if JUDGE is None or JUDGE[0] is not TASK:
        JUDGE = (TASK, TASK.judge(work))
    judge = JUDGE[1]
    judge.work = work
    return judge

