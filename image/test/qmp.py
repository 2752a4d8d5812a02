"""The emulator's control line: commands and their answers, and events in the order in which they came.

Knows the QEMU Machine Protocol and nothing of what is emulated. Nothing here waits without an end.
"""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any


class Lost(Exception):
    """The emulator is gone, or did not answer in time."""


class Refused(Exception):
    """The emulator answered with an error."""


class Qmp:
    """One control line, over a socket that is connected already."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._rest = b""
        self._events: list[dict[str, Any]] = []
        self._said: list[dict[str, Any]] = []

    def greet(self, seconds: float) -> None:
        """Takes the greeting and leaves the negotiation."""
        self._until(lambda said: "QMP" in said, seconds, "its greeting")
        self.run("qmp_capabilities")

    def run(self, command: str, seconds: float = 60, **arguments: Any) -> Any:
        """Runs a command and gives its answer back."""
        asked: dict[str, Any] = {"execute": command, "id": command}
        if arguments:
            asked["arguments"] = arguments
        try:
            self._line.sendall(json.dumps(asked).encode() + b"\n")
        except OSError as error:
            raise Lost(f"{command}: the emulator is gone ({error})") from error
        said = self._until(lambda said: said.get("id") == command, seconds, f"an answer to {command}")
        if "error" in said:
            raise Refused(f"{command} {arguments}: {said['error']['desc']}")
        return said["return"]

    def event(self, name: str, seconds: float, **data: Any) -> dict[str, Any]:
        """Waits for an event with this name and these data; one that came before and was not waited for counts."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self._events:
                if event["event"] == name and all(event.get("data", {}).get(key) == value for key, value in data.items()):
                    self._events.remove(event)
                    return event
            self._take(deadline, f"the event {name} {data}")

    def forget(self, name: str) -> None:
        """Forgets events of this name that nobody waited for."""
        self._events = [event for event in self._events if event["event"] != name]

    def _until(self, fits: Any, seconds: float, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            for said in self._said:
                if fits(said):
                    self._said.remove(said)
                    return said
            self._take(deadline, what)

    def _take(self, deadline: float, what: str) -> None:
        """Reads what there is, at least one piece, before the deadline."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._line], [], [], left)[0]:
            raise Lost(f"waited in vain for {what}")
        try:
            piece = self._line.recv(65536)
        except OSError as error:
            raise Lost(f"waiting for {what}: {error}") from error
        if not piece:
            raise Lost(f"the emulator ended while it was waited for {what}")
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for text in lines:
            if text.strip():
                said = json.loads(text)
                (self._events if "event" in said else self._said).append(said)
