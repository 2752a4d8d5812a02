"""What the machine says of itself once it stands."""

from __future__ import annotations

import hashlib
import re

from machine import Disk
from stage import BOOT_SECONDS_MAX, Stage, must
from visit import ENTER, Visit

MEMORY_MIB_MAX = 128


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
    memory = re.search(r"Memory: (\d+) of \d+ MiB in use", text)
    must(memory, f"the page on this machine does not say what memory is in use:\n{text}")
    must(int(memory.group(1)) <= MEMORY_MIB_MAX, f"{memory.group(1)} MiB in use; {MEMORY_MIB_MAX} MiB at most promised")
    return f"power on to first page {seconds:.1f} s (at most {BOOT_SECONDS_MAX}); {found.group(1)} modules, no network; {memory.group(1)} MiB in use"


TESTS = [boot]
