"""A terminal's screen, as far as the lab's programs need one: what a person would see of the bytes that were written.

Lines scroll off the top of a window of some rows and stay readable above it. Colours and modes are passed over.
"""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"\x1b\[([?>=]?)([\d;]*)([A-Za-z@])|\x1b[()][A-Z0-9]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>78M]|.", re.DOTALL
)


class Screen:
    """The rows written so far, and a cursor."""

    def __init__(self, rows: int = 24) -> None:
        self.height = rows
        self.lines: list[str] = [""]
        self.row = 0
        self.column = 0

    def feed(self, data: bytes) -> None:
        """Write bytes to the screen."""
        for token in TOKEN.finditer(data.decode(errors="replace")):
            text = token.group(0)
            if text.startswith("\x1b"):
                if token.group(3) and not token.group(1):
                    self._control(token.group(3), [int(part or 0) for part in token.group(2).split(";")])
            elif text == "\r":
                self.column = 0
            elif text == "\n":
                self._move_to(self.row + 1)
            elif text == "\b":
                self.column = max(0, self.column - 1)
            elif text >= " ":
                self._put(text)

    @property
    def text(self) -> str:
        """Return all rows, without trailing space."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")

    def _put(self, character: str) -> None:
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1

    def _move_to(self, row: int) -> None:
        self.row = max(0, row)
        while len(self.lines) <= self.row:
            self.lines.append("")

    def _top(self) -> int:
        return max(0, len(self.lines) - self.height)

    def _control(self, final: str, numbers: list[int]) -> None:
        count = numbers[0] or 1
        if final == "A":
            self._move_to(self.row - count)
        elif final == "B":
            self._move_to(self.row + count)
        elif final == "C":
            self.column += count
        elif final == "D":
            self.column = max(0, self.column - count)
        elif final in "Hf":
            self._move_to(self._top() + count - 1)
            self.column = (numbers[1] or 1) - 1 if len(numbers) > 1 else 0
        elif final == "K":
            self._erase_line(numbers[0])
        elif final == "J":
            self._erase_screen(numbers[0])

    def _erase_line(self, which: int) -> None:
        line = self.lines[self.row]
        self.lines[self.row] = {0: line[: self.column], 1: " " * self.column + line[self.column :]}.get(which, "")

    def _erase_screen(self, which: int) -> None:
        if which == 2:
            self.lines[self._top() :] = [""] * (self.row - self._top() + 1)
        else:
            self._erase_line(0)
            del self.lines[self.row + 1 :]


def render(data: bytes) -> str:
    """Return what bytes look like on an empty screen."""
    screen = Screen()
    screen.feed(data)
    return screen.text
