"""One emulated machine: how it is put together, started, watched, given and bereft of sticks, photographed, and always ended.

Knows the emulator and nothing of tabellion. Always emulated in software (`-accel tcg`): hardware acceleration differs from machine to machine and
may hang. Every wait has an end and is for something that was said, never for time that passes.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmp import Lost, Qmp
from serial import Serial, Silent

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
START_SECONDS = 60
UNPLUG_SECONDS = 60

# Characters that need another key than their own name, and those that need Shift as well.
NAMED = {" ": "spc", "\n": "ret", "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", ";": "semicolon", "'": "apostrophe",
         "`": "grave_accent", "\\": "backslash", ",": "comma", ".": "dot", "/": "slash", "\t": "tab", "\b": "backspace", "\x1b": "esc"}
SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./"))


@dataclass
class Disk:
    """A disk: a file, and how the machine has it."""

    file: Path
    name: str
    bus: str = "usb"  # usb | nvme | ahci
    read_only: bool = False
    boot: bool = False
    # Options of the driver blkdebug, which fails on purpose, below the disk.
    faults: dict[str, Any] = field(default_factory=dict)
    # Bytes a second that are written at most; 0 for as many as there are.
    slow: int = 0
    # A file in which every write is recorded in its order, with the driver blklogwrites.
    record: Path | None = None
    # Whether what is recorded goes on behind what is in that file already.
    goes_on: bool = False


@dataclass
class Direct:
    """A kernel and its initramfs, started without firmware."""

    kernel: Path
    initrd: Path
    command_line: str


def parts(disk: Disk) -> list[tuple[str, dict[str, Any]]]:
    """What a disk is made of, as commands of the control line, from the file upwards."""
    made: list[tuple[str, dict[str, Any]]] = []
    node: dict[str, Any] = {"driver": "file", "filename": str(disk.file), "read-only": disk.read_only}
    if disk.faults:
        node = {"driver": "blkdebug", "image": node, "read-only": disk.read_only, **disk.faults}
    if disk.record:
        log = {"driver": "file", "filename": str(disk.record)}
        node = {"driver": "blklogwrites", "file": node, "log": log, "log-super-update-interval": 1}
        # A log that goes on has its sectors already.
        node |= {"log-append": True} if disk.goes_on else {"log-sector-size": 512}
    if disk.slow:
        limits = {"bps-write": disk.slow, "bps-write-max": disk.slow}
        made.append(("object-add", {"qom-type": "throttle-group", "id": f"{disk.name}-limits", "limits": limits}))
        node = {"driver": "throttle", "throttle-group": f"{disk.name}-limits", "file": node}
    node["node-name"] = f"{disk.name}-file"
    made.append(("blockdev-add", {"driver": "raw", "node-name": disk.name, "file": node, "read-only": disk.read_only}))
    device = {"usb": {"driver": "usb-storage", "bus": "xhci.0", "removable": True}, "nvme": {"driver": "nvme", "serial": disk.name},
              "ahci": {"driver": "ide-hd", "bus": "ide.0"}}[disk.bus]
    device |= {"drive": disk.name, "id": f"{disk.name}-device"}
    if disk.boot:
        device["bootindex"] = 1
    made.append(("device_add", device))
    return made


class Machine:
    """A machine that runs. To be used with `with`: it is ended at the end of the block, whatever happens there."""

    def __init__(self, out: Path, *, direct: Direct | None = None, disks: list[Disk] | None = None, network: bool = False,
                 memory: int = 512, name: str = "machine") -> None:
        self.out = out
        self.name = name
        self.began = time.monotonic()
        self._pictures = 0
        out.mkdir(parents=True, exist_ok=True)
        our_qmp, its_qmp = socket.socketpair()
        our_serial, its_serial = socket.socketpair()
        command = self._command(direct, disks or [], network, memory, its_qmp.fileno(), its_serial.fileno())
        with (out / f"{name}.qemu").open("w") as said:
            # Killed with us, even when we are killed ourselves.
            self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                             pass_fds=(its_qmp.fileno(), its_serial.fileno()))
        its_qmp.close()
        its_serial.close()
        self.serial = Serial(our_serial, out / f"{name}.serial")
        self.qmp = Qmp(our_qmp)
        self._qmp_line = our_qmp
        try:
            self.qmp.greet(START_SECONDS)
            self.qmp.run("cont")
        except BaseException as error:
            self.end()
            if isinstance(error, Lost):
                raise Lost(f"{error}; the emulator said: {(out / f'{name}.qemu').read_text()}") from error
            raise

    def _command(self, direct: Direct | None, disks: list[Disk], network: bool, memory: int, qmp: int,
                 serial: int) -> list[str]:
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(memory), "-nodefaults",
                   "-display", "none", "-vga", "std", "-no-reboot", "-S",
                   "-chardev", f"socket,id=serial,fd={serial}", "-serial", "chardev:serial",
                   "-chardev", f"socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control",
                   "-device", "qemu-xhci,id=xhci,p2=8,p3=8", "-device", "usb-kbd,bus=xhci.0"]
        command += ["-nic", "user,model=e1000e"] if network else ["-nic", "none"]
        options = {"object-add": "-object", "blockdev-add": "-blockdev", "device_add": "-device"}
        for disk in disks:
            for part, arguments in parts(disk):
                command += [options[part], json.dumps(arguments)]
        if direct:
            return [*command, "-kernel", str(direct.kernel), "-initrd", str(direct.initrd), "-append", direct.command_line]
        variables = self.out / f"{self.name}.vars"
        shutil.copy(VARIABLES, variables)
        return [*command, "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}", "-drive", f"if=pflash,format=raw,file={variables}"]

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends the emulator, however far it is."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(30)
        self.serial.close()
        self._qmp_line.close()

    def seconds(self) -> float:
        """How long it has been running, as a clock on the wall says."""
        return time.monotonic() - self.began

    # Disks and sticks.

    def plug(self, disk: Disk) -> None:
        """Gives the machine a stick while it runs."""
        for command, arguments in parts(disk):
            self.qmp.run(command, **arguments)

    def pull(self, name: str) -> None:
        """Pulls a stick, without a word to anybody; its file is let go of and can be read when this returns."""
        self.qmp.run("device_del", id=f"{name}-device")
        self.qmp.event("DEVICE_DELETED", UNPLUG_SECONDS, device=f"{name}-device")
        self.qmp.run("blockdev-del", **{"node-name": name})

    def tell_first_write(self, name: str) -> None:
        """From now on, the first write to this disk is told: see `wait_for_write`."""
        self.qmp.forget("BLOCK_WRITE_THRESHOLD")
        self.qmp.run("block-set-write-threshold", **{"node-name": name, "write-threshold": 1})

    def wait_for_write(self, name: str, seconds: float) -> None:
        """Waits for the write that `tell_first_write` asked for."""
        self.qmp.event("BLOCK_WRITE_THRESHOLD", seconds, **{"node-name": name})

    def fail_from_now_on(self, name: str, kind: str) -> None:
        """From now on every request of one kind (`read`, `write`, `flush`) to this disk ends in an input/output error."""
        below = {"driver": "blkdebug", "node-name": f"{name}-faulty", "image": f"{name}-file",
                 "inject-error": [{"event": "none", "iotype": kind, "errno": 5, "once": False, "immediately": False}]}
        self.qmp.run("blockdev-add", **below)
        self.qmp.run("blockdev-reopen", options=[{"driver": "raw", "node-name": name, "file": f"{name}-faulty"}])

    # Keyboard and screen.

    def keys(self, text: str) -> None:
        """Types on the keyboard: characters of an American keyboard. A key goes down and up in one message: however busy this machine is, it is never
        held so long that it repeats itself."""
        for character in text:
            held = []
            if character in SHIFTED or (character.isalpha() and character.isupper()):
                held, character = ["shift"], SHIFTED.get(character, character.lower())
            names = [*held, NAMED.get(character, character)]
            moves = [(name, True) for name in names] + [(name, False) for name in reversed(names)]
            events = [{"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}} for name, down in moves]
            self.qmp.run("input-send-event", events=events)

    def picture(self, title: str) -> Path:
        """Keeps what is on the screen, as a PNG file."""
        self._pictures += 1
        file = self.out / f"{self.name}-{self._pictures:02}-{title}.png"
        self.qmp.run("screendump", filename=str(file), format="png")
        return file

    # The end.

    def wait_for_end(self, seconds: float) -> None:
        """Waits until the machine has switched itself off."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Silent(f"it is still on after {seconds:.0f} s; the last that came:\n{self.serial.tail()}") from None
        if code != 0:
            raise Lost(f"the emulator ended with {code}")

    def is_on(self) -> bool:
        """Whether the machine is on."""
        return self._process.poll() is None


def cores() -> int:
    """How many processors there are for us."""
    return len(os.sched_getaffinity(0))
