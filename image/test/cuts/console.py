"""The program's console on this computer: the pages of the appliance over folders, which stand for its disk and its sticks.

Knows how it is started, read and ended. What is pressed is an operator's.
"""

import os
import re
import socket
import subprocess
from pathlib import Path

import record
from desk import OURS
from serial import Serial

REHEARSAL = " - REHEARSAL"
SECONDS = 60


def furnish(folder, desk):
    """A folder for a console, with a copy of a desk; gives back where its sticks go."""
    data, sticks = os.path.join(folder, "data"), os.path.join(folder, "sticks")
    for path in (data, sticks):
        os.makedirs(path)
    Path(data, OURS).write_text(f"{OURS}/v1\n", encoding="utf-8")
    if os.path.isdir(desk):
        subprocess.run(["cp", "-a", desk, os.path.join(data, "desk")], check=True, timeout=60)
    return sticks


def first_page(program, folder):
    """The first page that awaits a key: its title and its text. Nobody presses any."""
    code, out, said = program.run("appliance", "--rehearse", folder)
    found = re.search(record.PAGE, out.decode(errors="replace"), re.MULTILINE)
    if code != 0 or not found or not found["title"]:
        return f"no page, but the end with {code}", said
    return found["title"].removesuffix(REHEARSAL), found["body"]


class Console:
    """A console that runs, from `with` to the end of its block."""

    def __init__(self, program, folder):
        ours, its = socket.socketpair()
        with open(os.path.join(folder, "said"), "wb") as said:
            self.process = subprocess.Popen([program.path, "appliance", "--rehearse", folder], stdin=its, stdout=its, stderr=said)
        its.close()
        self.serial = Serial(ours, Path(folder, "serial"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)
        self.serial.close()

    def wait_for_end(self):
        """Waits until it was switched off."""
        code = self.process.wait(SECONDS)
        if code != 0:
            raise RuntimeError(f"the console ended with {code}")
