"""How fast a long run goes: photos done, images per second, the time left."""

from __future__ import annotations

import sys
import time

import click

TERMINAL_SECONDS = 0.2  # between two updates
LOG_SECONDS = 30.0  # the same where the lines are kept


class Pace:
    """Counts photos and shows how they go on, on standard error.

    Args:
        total: photos.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self._start = self._first = self._shown = time.monotonic()

    def show(self, well: bool) -> None:
        """One more is done, well or not; tell it now and then."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if not self.done:
            self._first = now
        self.done += 1
        self.failed += not well
        if now - self._shown >= (TERMINAL_SECONDS if terminal else LOG_SECONDS):
            self._shown = now
            click.echo(("\r\x1b[K" if terminal else "") + self.state(), nl=not terminal, err=True)
        if terminal and self.done == self.total:
            click.echo(err=True)

    def state(self) -> str:
        """Where it stands, in a line."""
        rate = self.rate
        seconds = int((self.total - self.done) / rate) if rate else 0
        left = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"
        failed = f", {self.failed} failed" if self.failed else ""
        begun = f"{rate:.2f} images/s, {left}" if rate else "begun"
        return f"{self.done} of {self.total} photos{failed}, {begun}"

    @property
    def rate(self) -> float:
        """Images per second since the first was done; 0 until then."""
        passed = time.monotonic() - self._first
        return (self.done - 1) / passed if self.done > 1 and passed else 0.0

    def line(self) -> str:
        """The same at the end, with what starting took."""
        passed = time.monotonic() - self._start
        failed = f", {self.failed} of them failed" if self.failed else ""
        rate = self.done / passed if passed else 0.0
        return (
            f"{self.done} photos in {passed:.1f} s{failed}, {rate:.2f} images/s, "
            f"the first after {self._first - self._start:.1f} s"
        )
