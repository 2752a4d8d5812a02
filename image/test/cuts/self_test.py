"""The tests of the search itself: logs made by hand, a write that is lost on purpose, and file systems that others' programs read as well."""

import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cuts
import files
import founding
import record
import writes
from console import first_page
from desk import Program, Seen, Texts, texts_in
from founding import WAITS
from sticks import Stick
from writes import DISCARD, FLUSH, FUA


KIB = 1024


def log_of(folder, entries, sector=512):
    """A log made by hand."""
    path = os.path.join(folder, "log")
    with open(path, "wb") as file:
        file.write(writes.compose(entries, sector))
    return writes.Log(path)


def expect(found, expected, what):
    """Both must be equal."""
    if found != expected:
        raise AssertionError(f"{what}: {found!r} found, {expected!r} expected")


def a_log_is_read_as_it_was_written(folder):
    """Writes, flushes and discards, with sectors of 512 and of 4096 bytes."""
    log = log_of(folder, [(0, (1024, b"a" * 512)), (FLUSH, None), (FUA, (0, b"b" * 1024)), (DISCARD, (2048, bytes(512)))])
    expect([(entry.offset, entry.length, entry.flags) for entry in log.entries], [(1024, 512, 0), (0, 0, 1), (0, 1024, 2), (2048, 512, 4)], "entries")
    expect([log.data(entry)[:1] for entry in log.entries], [b"a", b"", b"b", b"\0"], "data")
    expect(log.told(), (3, 2), "writes and flushes")
    large = log_of(folder, [(0, (8192, b"c" * 4096)), (0, (0, b"d" * 4096))], 4096)
    expect([(entry.offset, large.data(entry)[:1]) for entry in large.entries], [(8192, b"c"), (0, b"d")], "large sectors")


def what_is_no_log_is_refused(folder):
    """Another magic number, a file that ends too early, flags that nobody knows."""
    good = writes.compose([(0, (0, b"x" * 512))])
    for what, bad in [("magic", b"\1" + good[1:]), ("end, in an entry", good[:520]), ("end, in the data", good[:1100]),
                      ("flag", good[:528] + b"\xf0" + good[529:])]:
        path = os.path.join(folder, "bad")
        with open(path, "wb") as file:
            file.write(bad)
        try:
            writes.Log(path)
        except writes.Broken:
            continue
        raise AssertionError(f"a log with another {what} was read")


def disks(folder, entries, plan, size=4 * KIB):
    """Every disk that may be left, as (boundary, kind, bytes)."""
    base = os.path.join(folder, "base")
    with open(base, "wb") as file:
        file.write(b"." * size)
    log, out = log_of(folder, entries), []
    disk = cuts.Disk(log, base, folder)
    for boundary in range(len(log.entries) + 1):
        for cut in plan.at(log.entries, boundary):
            with open(disk.make(cut), "rb") as file:
                made = file.read()
            path, before = disk.lay_over(cut)
            with open(path, "rb") as file:
                expect(file.read(), made, "the same disk in place")
            disk.take_off(before)
            out.append((boundary, cut.kind, made))
    disk.close()
    return out


def short(disk):
    """The first letter of each sector."""
    return "".join(chr(disk[at]) for at in range(0, len(disk), 512))


def block(letter, at, sectors=1):
    """A write of some sectors."""
    return at * 512, letter.encode() * 512 * sectors


def any_part_of_what_is_not_flushed_may_be_there(folder):
    """Two writes, a flush, and three writes: all eight subsets of the three, and never without the two."""
    entries = [(0, block("a", 0)), (0, block("b", 1)), (FLUSH, None), (0, block("c", 2)), (0, block("d", 3)), (0, block("e", 4))]
    found = disks(folder, entries, cuts.Plan(60, 0))
    at_end = {short(disk) for boundary, _, disk in found if boundary == 6}
    expect(at_end, {f"ab{c}{d}{e}..." for c in "c." for d in "d." for e in "e."}, "subsets behind the flush")
    expect({short(disk) for boundary, _, disk in found if boundary == 2}, {"ab......", "a.......", ".b......", "........"}, "before the flush")
    expect({short(disk) for boundary, _, disk in found if boundary == 3}, {"ab......"}, "at the flush")
    plain = [(kind, short(disk)) for boundary, kind, disk in disks(folder, entries, cuts.Plan(0, 0)) if boundary == 5]
    expect(plain, [("prefix", "abcd...."), ("flushed", "ab......")], "without chance")


def a_later_write_does_not_make_an_earlier_one_safe(folder):
    """The same sector twice; and a write with FUA is safe alone, one with a flush flushes what was before it."""
    twice = disks(folder, [(0, block("a", 0)), (0, block("b", 0))], cuts.Plan(30, 0))
    expect({short(disk)[0] for boundary, _, disk in twice if boundary == 2}, {".", "a", "b"}, "one sector twice")
    fua = disks(folder, [(0, block("a", 0)), (FUA, block("b", 1))], cuts.Plan(30, 0))
    expect({short(disk)[:2] for boundary, _, disk in fua if boundary == 2}, {".b", "ab"}, "FUA")
    first = disks(folder, [(0, block("a", 0)), (FLUSH, block("b", 1))], cuts.Plan(30, 0))
    expect({short(disk)[:2] for boundary, _, disk in first if boundary == 2}, {"a.", "ab"}, "a flush before a write")


def a_write_is_torn_at_each_of_its_sectors(folder):
    """From the front and from behind."""
    found = {short(disk) for _ in range(8) for seed in range(8)
             for _, kind, disk in disks(folder, [(0, block("a", 1, 4))], cuts.Plan(0, 3, seed=seed)) if kind == "torn"}
    expect(found, {".a......", ".aa.....", ".aaa....", "..aaa...", "...aa...", "....a..."}, "tears")


def a_write_that_is_lost_is_found(folder):
    """A program that says `b` is safe and did not flush it, and one that flushed."""
    for flush, expected in [([], 1), ([(FLUSH, None)], 0)]:
        entries = [(0, block("a", 0)), (FLUSH, None), (0, block("b", 1)), *flush]
        told = len(entries)
        lost = [short(disk) for boundary, _, disk in disks(folder, entries, cuts.Plan(4, 0)) if boundary >= told and short(disk)[:2] != "ab"]
        expect(len(lost), expected, f"disks without what was told, with {len(flush)} flushes")


def sticks_are_read_as_others_read_them(folder):
    """FAT32 by mtools, exFAT by The Sleuth Kit, ext4 by debugfs: the same files."""
    content = {"tabellion/common/checkpoint": b"x" * 700, "tabellion/common/objects/000/000001.objects": bytes(range(256)) * 500, "README.TXT": b"",
               "a name of many letters.html": b"y" * 4096, **{f"tabellion/papers/{n:03}.bundle": b"z" * n for n in range(60)}}
    for kind in ("fat32", "exfat", "ext4"):
        stick = Stick.make(Path(folder, kind), kind, content, size=40 << 20)
        volume = os.path.join(folder, "volume")
        cuts.copy_sparse(stick.file, volume, *files.window_of(stick.file))
        expect(files.kind_of(volume), kind, "kind")
        tree = files.read(kind, volume)
        expect((tree.files, tree.broken), (stick.read(), {}), kind)
        expect(tree.files, content, kind)


def a_broken_chain_is_told(folder):
    """A file on FAT32 whose second cluster is given away."""
    stick = Stick.make(Path(folder, "broken"), "fat32", {"one": b"x" * 2000}, size=40 << 20, has_partition=False)
    with open(stick.file, "r+b") as file:
        boot = file.read(64)
        table = struct.unpack_from("<H", boot, 14)[0] * 512
        file.seek(table + 4 * 3)
        (following,) = struct.unpack("<I", file.read(4))
        file.seek(table + 4 * following)
        file.write(bytes(4))
    tree = files.read("fat32", str(stick.file))
    expect((tree.files, list(tree.broken)), ({}, ["one"]), "a chain with a hole")


def a_file_system_that_is_not_clean_is_told(folder):
    """An ext4 whose bitmap of blocks is empty."""
    path = os.path.join(folder, "ext4")
    stick = Stick.make(Path(path), "ext4", {"one": b"x"}, size=8 << 20, has_partition=False, options=["-O", "^metadata_csum"])
    expect(files.mount_ext4(str(stick.file)), (None, set()), "clean")
    said = files.command("dumpe2fs", path)[1]
    bitmap = int(said.split("Block bitmap at ")[1].split()[0])
    with open(path, "r+b") as file:
        file.seek(bitmap * 4096)
        file.write(bytes(4096))
    fault, _ = files.mount_ext4(path)
    expect("Block bitmap differences" in (fault or ""), True, "a bitmap of zeros")


def two_texts_of_one_number_are_told(_folder):
    """The same text twice is one; another root is another."""
    note = "witness.example/common\n{}\n" + "A" * 42 + "{}=\n\n\u2014 witness.example/common AAAA\n"
    one, other = note.format(5, "A").encode(), note.format(5, "B").encode()
    expect(texts_in(b"some" + b"\n" + one + b"\nmore"), [(5, one)], "a text within another")
    texts = Texts()
    for text in (one, one, note.format(6, "B").encode()):
        texts.add(*texts_in(text)[0], "here")
    expect(texts.violations, [], "two numbers")
    texts.add(*texts_in(other)[0], "there")
    expect(texts.violations, ["there: two signed texts of number 5"], "two roots")


class Line:
    """A serial line on which pages come, and what is typed is kept."""

    def __init__(self, text):
        self.text, self.at, self.typed = text, 0, []

    def expect(self, pattern, _seconds):
        """The next page."""
        found = re.compile(pattern, re.MULTILINE).search(self.text, self.at)
        self.at = found.end()
        return found

    def type(self, text):
        """Keeps it."""
        self.typed.append(text)


class Hands:
    """Hands that have the stick in, and a charter that is signed or not."""

    def __init__(self, keys):
        self.keys = keys

    def take(self, is_charter):
        """The stick."""
        return "brought" if is_charter else "signed"

    def back(self):
        """What is pressed."""
        return self.keys


def page(title, text, work=False):
    """A page as the console writes it."""
    return f"== {title} ==\n\n  {text}\n\n  Next: Press.\n" + ("" if work else "-- ready --\n")


def a_founding_is_told_page_after_page(_folder):
    """What was told, and when nothing may be pressed."""
    stick, head = "[ ok ] the first stick, 48 MB", "1:parrot-fluid-episode-settle-explain-often"
    line = Line("".join([page("An empty data disk", "x"), page("Safe to remove", "the charter to be signed, read back"), page(WAITS, "no stick is inserted"),
                         page(WAITS, stick), page("Working", "[    ] the new pages are signed", work=True), page("Founded - REHEARSAL", "x"),
                         page("The fingerprint", "In digits: a06b352f e2350933\n      729bb490\n  In words: parrot"),
                         page("Write down the head", "Number: 1\n  Words: parrot  fluid  episode  settle  explain  often"),
                         page("Safe to remove", "the first page of this Common"), page("Home", "x")]))
    operator = founding.Founder(line, iter(range(9)).__next__, Hands("\r"))
    operator.until("Home")
    expect(line.typed, ["f"] + ["\r"] * 6, "keys")
    expect([(told["counts"], told["number"], told["sealed"], told["safe"], told["head"]) for told in operator.told],
           [(0, 0, False, "brought", None), (1, 1, False, None, None), (2, 1, True, None, None), (3, 1, True, None, head), (4, 1, True, "signed", None)],
           "what was told")
    expect((operator.head, operator.fingerprint, operator.asked), (head, "a06b352fe2350933729bb490", False), "what was read")
    try:
        founding.Founder(Line(page("Halted", "x")), dict, Hands("\r")).until("Home")
    except record.Unexpected as told:
        expect("a page that nobody expects: Halted" in str(told), True, "a page that nobody expects")
        return
    raise AssertionError("a page that nobody expects was answered")


def a_half_founding_is_told(_folder):
    """A key without its page, a charter without its key, and what is half."""
    story = SimpleNamespace(made={"key": b"whole", "charter.payload": b"drafted"})
    judge = founding.FoundingJudge(None, story, None, 0)
    for title, key, payload, wrong in [
            (founding.EMPTY, None, None, 0), (founding.BROKE_OFF, b"whole", None, 0), (WAITS, b"whole", b"drafted", 0), (founding.LAST_HEAD, b"whole", b"drafted", 0),
            (founding.EMPTY, b"whole", None, 1), (founding.BROKE_OFF, b"who", None, 1), (WAITS, b"whole", b"another", 1), (WAITS, None, b"drafted", 1),
            ("Stopped", b"whole", b"drafted", 1), (founding.LAST_HEAD, None, b"drafted", 1), (founding.LAST_HEAD, b"whole", None, 1), (founding.EMPTY, b"whole", b"draft", 2)]:
        facts = SimpleNamespace(title=title, made={"key": key, "charter.payload": payload})
        expect(len(judge.half(facts, "text")), wrong, f"{title} with {key} and {payload}")


def a_charter_that_is_at_home_and_nowhere_else_is_told(_folder):
    """On the stick, and on every desk; on the stick alone; brought by the founders themselves."""
    for brought, drafted, wrong in [({}, 1, 0), ({}, 0, 1), ({founding.PAYLOAD: b"drafted"}, 0, 0)]:
        judge = founding.StickJudge("fat32", [SimpleNamespace(files=brought)], [0], lambda step, boundary: {"drafted": drafted}[step])
        tree = SimpleNamespace(files={founding.PAYLOAD: b"drafted"})
        expect(len(judge.early(tree, cuts.Cut(3, "all", 3, []), Seen())), wrong, f"a charter on the stick with {brought} before, {drafted} on the desk")


def a_console_that_shows_no_page_is_told(folder):
    """A program that says nothing, one that fails, and one whose page awaits nothing."""
    for name, script, title in [("silent", "", "no page, but the end with 0"), ("failing", "exit 3", "no page, but the end with 3"),
                                ("working", f"printf '{page('Working', 'x', work=True)}'", "no page, but the end with 0"),
                                ("well", f"printf '{page('Home - REHEARSAL', 'x')}'", "Home")]:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o700)
        expect(first_page(Program(path), folder)[0], title, name)


TESTS = [a_log_is_read_as_it_was_written, what_is_no_log_is_refused, any_part_of_what_is_not_flushed_may_be_there,
         a_later_write_does_not_make_an_earlier_one_safe, a_write_is_torn_at_each_of_its_sectors, a_write_that_is_lost_is_found,
         sticks_are_read_as_others_read_them, a_broken_chain_is_told, a_file_system_that_is_not_clean_is_told, two_texts_of_one_number_are_told,
         a_founding_is_told_page_after_page, a_half_founding_is_told, a_charter_that_is_at_home_and_nowhere_else_is_told, a_console_that_shows_no_page_is_told]


def main():
    """All of them; the first that fails ends it."""
    for test in TESTS:
        with tempfile.TemporaryDirectory() as folder:
            test(folder)
    print(f"{len(TESTS)} tests of the search itself passed", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}: {error.output}")
