"""Machines that must not go on: started with another option, with a module that nobody signed, or without what the first process needs at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

from machine import Direct, Disk, Machine
from stage import Stage, must
from sticks import written_below
from visit import ENTER, PAGE_SECONDS, Visit

# Not one of the image's.
OTHER_OPTION = " debugfs=on"


def over(stage: Stage, name: str, content: dict[str, bytes]) -> Path:
    """The image's initramfs with these files over it: the kernel unpacks one archive after the other."""
    folder, out = stage.out / name, stage.out / f"{name}.initrd"
    written_below(folder, content)
    archive = subprocess.run(["cpio", "-o", "--quiet", "-H", "newc", "-R", "0:0"], input="\n".join(content).encode(), cwd=folder, check=True, timeout=60,
                             stdout=subprocess.PIPE).stdout
    below = (stage.image / "initrd.zst").read_bytes()
    # The kernel looks for an archive at every fourth byte.
    out.write_bytes(below.ljust(-(-len(below) // 4) * 4, b"\0") + archive)
    return out


def stops(stage: Stage) -> str:
    """Three such machines: each says what was found on a page of its own, and switches off when told to; the ledger's disk is not touched."""
    line = (stage.image / "cmdline").read_text()
    kernel, initrd = stage.image / "vmlinux", stage.image / "initrd.zst"
    data = stage.empty()
    before = data.file.read_bytes()
    module = next(line.split()[1] for line in (stage.image / "manifest.txt").read_text().splitlines() if line.startswith("module ") and "-usbhid.ko" in line)
    unsigned = over(stage, "unsigned", {f"modules/{module}": b"\x7fELF" + bytes(4096)})
    rootless = over(stage, "rootless", {"proc": b"a file where a folder is expected"})
    before_split, _, after_split = line.partition(" --")
    cases = {
        "option": (Direct(kernel, initrd, f"{before_split}{OTHER_OPTION} --{after_split}"), ('not of the image "debugfs=on"',)),
        "module": (Direct(kernel, unsigned, line), ("usbhid",)),
    }
    for name, (direct, texts) in cases.items():
        with Machine(stage.out, direct=direct, disks=[Disk(data.file, "data")], name=name) as machine:
            visit = Visit(machine)
            visit.on("The witness does not start", "p", r"\[STOP\]", *texts)
            machine.wait_for_end(PAGE_SECONDS)
    with Machine(stage.out, direct=Direct(kernel, rootless, line), disks=[Disk(data.file, "data")], name="last-words") as machine:
        visit = Visit(machine)
        visit.on("THE WITNESS HAS STOPPED", ENTER, "found .*/proc", "Press Enter to switch off")
        machine.wait_for_end(PAGE_SECONDS)
    must(data.file.read_bytes() == before, "the ledger's disk was written to")
    return "another kernel option, an unsigned module, no /proc: a page each, the ledger's disk untouched, off when told to"


TESTS = [stops]
