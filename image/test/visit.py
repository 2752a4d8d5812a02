"""An operator at the console of a machine: reads each page that awaits keys, and presses them, on the serial line or on the keyboard.

A page that nobody expected ends the visit at once, with what stood on it: nothing is waited for behind it.
"""

from __future__ import annotations

import re
import time

from machine import Machine

READY = r"^-- ready --$"
# The screen of a panic clears what stood there.
TITLE = re.compile(r"^(?:\x1b\[[0-9;]*[A-Za-z])*== (.+) ==$", re.MULTILINE)
# Five times and more of what any page takes while another machine runs beside this one.
PAGE_SECONDS = 150
# A key that answers one page after the other counts only after a pause: it could be a finger that was not lifted. Whoever sees that nothing
# happened presses it again.
AGAIN_SECONDS, PRESSES_MAX = 3, 20
ENTER, ESCAPE = "\n", "\x1b"


class Unexpected(Exception):
    """Another page than the one that was expected, or another text on it."""


class Visit:
    """A visit, from the machine's start to its end."""

    def __init__(self, machine: Machine, *, by_keyboard: bool = False) -> None:
        self.machine = machine
        self._by_keyboard = by_keyboard
        self.titles: list[str] = []
        self.text = ""

    def next_page(self, seconds: float = PAGE_SECONDS) -> tuple[str, str]:
        """The next page that awaits keys: its title, and its text without the breaks of lines within it."""
        found = self.machine.serial.expect(rf"(?s:(.*?)){READY}", seconds).group(1)
        titles = list(TITLE.finditer(found))
        if not titles:
            raise Unexpected(f"keys are awaited, and there is no title:\n{found}")
        title, text = titles[-1].group(1), found[titles[-1].end():]
        self.titles += [each.group(1) for each in titles]
        self.text = text
        if self._by_keyboard:
            # The screen was drawn before the serial line was written to.
            self.machine.picture(re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"))
        return title, re.sub(r"\s*\n\s*", " ", text)

    def page(self, title: str, *having: str, seconds: float = PAGE_SECONDS) -> str:
        """Waits for a page that awaits keys, and gives its text back.

        It must be the next one and have these texts (regular expressions); it may be shown several times before it has them all, as when a stick
        is being recognised.
        """
        deadline = time.monotonic() + seconds
        text = ""
        while True:
            try:
                found, text = self.next_page(max(deadline - time.monotonic(), 1))
            except Exception as error:
                if text:
                    raise Unexpected(f"the page {title!r} never had {having}; it had {text!r}") from error
                raise
            if found != title:
                raise Unexpected(f"the page {found!r} came; {title!r} expected:\n{self.text}")
            if all(re.search(each, text) for each in having):
                return text

    def press(self, keys: str) -> None:
        """Presses keys. On the keyboard a line is typed as a person does it who looks: each letter is seen on the page before the next one."""
        if not self._by_keyboard:
            self.machine.serial.type(keys)
            return
        if len(keys) > 1 and keys.endswith("\n"):
            self.machine.serial.expect(": ", PAGE_SECONDS)
            for letter in keys[:-1]:
                self.machine.keys(letter)
                self.machine.serial.expect(rf"\*|{re.escape(letter)}", PAGE_SECONDS)
            keys = "\n"
        for _ in range(PRESSES_MAX):
            self.machine.keys(keys)
            if self.machine.serial.came(TITLE.pattern, AGAIN_SECONDS):
                return
        raise Unexpected(f"{keys!r} was pressed {PRESSES_MAX} times, and no other page came:\n{self.text}")

    def on(self, title: str, keys: str, *having: str, seconds: float = PAGE_SECONDS) -> str:
        """Waits for a page, presses keys on it, and gives its text back."""
        text = self.page(title, *having, seconds=seconds)
        self.press(keys)
        return text

    def through(self, *pages: tuple[str, str]) -> str:
        """Goes through pages, each with its keys."""
        return [self.on(title, keys) for title, keys in pages][-1]

    def switch_off(self) -> None:
        """From a page that was just left for the page of the power's end, to the end."""
        self.on("Switch off", "y")
        self.machine.wait_for_end(PAGE_SECONDS)
