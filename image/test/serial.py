"""What a machine says on its serial line, and what is typed to it there.

A thread reads as long as the machine lives, so that it never waits for us; whoever waits for a text gets it from what was not read yet. The line
is kept in a file as it came.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path


class Silent(Exception):
    """What was waited for did not come: in time, or before the machine ended."""


class Serial:
    """One serial line, over a socket that is connected already."""

    def __init__(self, line: socket.socket, log: Path) -> None:
        self._line = line
        self._log = log.open("wb")
        self._text = ""
        self._at = 0
        self._open = True
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = self._line.recv(65536)
            except OSError:
                piece = b""
            with self._news:
                if not piece:
                    self._open = False
                    self._log.close()
                    self._news.notify_all()
                    return
                self._log.write(piece)
                self._log.flush()
                self._text += piece.decode("utf-8", "replace").replace("\r", "")
                self._news.notify_all()

    def expect(self, pattern: str, seconds: float) -> re.Match[str]:
        """Waits for a text (a regular expression, `^` and `$` at lines) and reads up to its end."""
        wanted = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                found = wanted.search(self._text, self._at)
                if found:
                    self._at = found.end()
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self._open:
                    why = f"did not come within {seconds:.0f} s" if self._open else "did not come before the machine ended"
                    raise Silent(f"{pattern!r} {why}; the last that came:\n{self.tail()}")
                self._news.wait(left)

    def came(self, pattern: str, seconds: float) -> bool:
        """Whether a text comes in that time, or the machine ends; it stays to be read."""
        wanted = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        with self._news:
            while self._open and not wanted.search(self._text, self._at):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._news.wait(left)
            return True

    def type(self, text: str) -> None:
        """Types a text."""
        self._line.sendall(text.encode())

    def all(self) -> str:
        """Everything that was said so far."""
        with self._news:
            return self._text

    def tail(self, lines: int = 40) -> str:
        """The last lines, for a message."""
        return "\n".join("    | " + line for line in self._text.splitlines()[-lines:])

    def close(self) -> None:
        """Ends the reader and the log."""
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join(10)
        self._line.close()
