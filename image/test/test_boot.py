"""What the machine says of itself once it stands."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from machine import Disk
from stage import BOOT_SECONDS_MAX, Stage, inserted, must, paper_head, session
from sticks import MIB, with_folder
from visit import ENTER, Visit

# Promised with a ledger of so many numbers, each an event of its own, and so with any smaller one.
MEMORY_MIB_MAX = 128
# Behind a session, whose last one of 10,000 papers was in memory as well: what was let go of is not given back at once. 124 were seen.
SESSION_MIB_MAX = 160
NUMBERS = 100_000
STICK_MIB = 256
# Five times and more of what they take.
MAKING_SECONDS, LARGE_SECONDS_MAX = 600, 600
REPOSITORY = Path(__file__).resolve().parents[2]


def boot(stage: Stage) -> str:
    """From power on to the first page that awaits keys, with a network card in the machine; what the page on the machine says."""
    home = stage.home()
    data = stage.founded(home)
    with stage.machine([Disk(data.file, "data", bus="nvme")], network=True) as machine:
        visit = Visit(machine)
        visit.page("The last head", seconds=BOOT_SECONDS_MAX)
        seconds = machine.seconds()
        visit.press(f"{home.head()}\n")
        visit.on("Home", "m")
        text = visit.on("This machine", ENTER)
        visit.on("Home", "p")
        visit.switch_off()
    manifest = (stage.image / "manifest.txt").read_text()
    listed = len(re.findall(r"^module ", manifest, re.MULTILINE))
    digest = hashlib.sha256(stage.program.read_bytes()).hexdigest()
    for wanted in ("the kernel is locked down: confidentiality", "no network: the kernel knows no network device", "the kernel is untouched",
                   "exactly the options of this image", "the memory cannot be read through /dev/mem", digest,
                   "the program is the one that the image's manifest names"):
        must(wanted in text, f"the page on this machine does not say {wanted!r}:\n{text}")
    must("[ !! ] Secure Boot" in text and "[STOP]" not in text, f"a mark is another than expected:\n{text}")
    found = re.search(r"(\d+) kernel modules, exactly those of this image; no other can be loaded", text)
    # Three of them are for processors and firmware that this machine has not.
    must(found and listed - 3 <= int(found.group(1)) <= listed, f"{listed} modules are in the image:\n{text}")
    in_use = memory_in_use(text, MEMORY_MIB_MAX)
    return f"power on to first page {seconds:.1f} s (at most {BOOT_SECONDS_MAX}); {found.group(1)} modules, no network; {in_use} MiB in use"


def large(stage: Stage) -> str:
    """A desk of 100,000 numbers: how long the start with all its checks takes, and how much memory is in use after them and after a session."""
    made = subprocess.run(["cargo", "run", "--quiet", "--release", "--locked", "--example", "many", "--", stage.out / "many", str(NUMBERS)],
                          cwd=REPOSITORY, check=True, timeout=MAKING_SECONDS, stdout=subprocess.PIPE, text=True).stdout
    head = re.fullmatch(r"common@(\d+) (\S+)\n", made)
    must(head and int(head.group(1)) >= NUMBERS, f"a desk of {NUMBERS} numbers expected: {made}")
    data = with_folder(stage.image / "data.img", stage.out / "many/witness", "desk", stage.out / "data.img")
    stick = stage.stick("stick", "fat32", {"next": (stage.out / "many/next").read_bytes()}, size=STICK_MIB * MIB)
    with stage.machine([Disk(data.file, "data", bus="nvme")]) as machine:
        visit = Visit(machine)
        visit.page("The last head", seconds=LARGE_SECONDS_MAX)
        seconds = machine.seconds()
        visit.press(f"{head.group(1)} {head.group(2)}\n")
        visit.on("Home", "m")
        in_use = memory_in_use(visit.on("This machine", ENTER), MEMORY_MIB_MAX)
        visit.page("Home")
        inserted(visit, Disk(stick.file, "stick"))
        session(visit, "test", 1, int(head.group(1)) + 1)
        visit.on("Safe to remove", ENTER, "SAFE TO REMOVE", seconds=LARGE_SECONDS_MAX)
        paper_head(visit)
        visit.on("Home", "m")
        after = memory_in_use(visit.on("This machine", ENTER), SESSION_MIB_MAX)
        visit.on("Home", "p")
        visit.switch_off()
    stick.check()
    return (f"{head.group(1)} numbers: power on to first page {seconds:.1f} s (at most {LARGE_SECONDS_MAX}); {in_use} MiB in use, "
            f"{after} MiB after one number more and {STICK_MIB} MiB of room for all of them on a stick")


def memory_in_use(text: str, most: int) -> int:
    """Mebibytes in use, as the page on the machine says; not more than these."""
    memory = re.search(r"Memory: (\d+) of \d+ MiB in use", text)
    must(memory, f"the page on this machine does not say what memory is in use:\n{text}")
    in_use = int(memory.group(1))
    must(in_use <= most, f"{in_use} MiB in use; {most} MiB at most expected")
    return in_use


TESTS = [large, boot]
