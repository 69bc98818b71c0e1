"""What has failed in a run of many calls, in a few lines for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfexecutor.futures import HubFuture

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Failures", "in_short"]

_KINDS = 5  # of exceptions that are told apart
_LINES = 3  # of what the first call printed
_LONGEST = 120  # characters of an exception's own words
_TIMES = "\N{MULTIPLICATION SIGN}"


class Failures:
    """A summary of the calls of a run that failed; false if none did.

    Nothing of the user's is kept: neither futures nor exceptions.

    Attributes:
        calls: How many there were, good and bad.
        count: How many failed.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.count = 0
        self._kinds: dict[str, int] = {}  # by type, in the order of their first appearance
        self._examples: dict[str, str] = {}
        self._first = ""
        self._first_number: int | None = None

    def __bool__(self) -> bool:
        return self.count > 0

    def note(self, number: int | None, error: BaseException, future: Future[Any]) -> None:
        """Count a call that failed: its number in the input, if there is one, and why."""
        kind = type(error).__name__
        if kind not in self._kinds:
            self._examples[kind] = _words(error)
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        first = self._first_number
        if not self.count or (number is not None and first is not None and number < first):
            self._first_number, self._first = number, _whereabouts(future)
        self.count += 1

    def __str__(self) -> str:
        kinds = sorted(self._kinds, key=self._kinds.__getitem__, reverse=True)
        told = [
            f"{self._kinds[kind]} {_TIMES} {kind}{self._examples[kind]}" for kind in kinds[:_KINDS]
        ]
        if others := sum(self._kinds[kind] for kind in kinds[_KINDS:]):
            told.append(f"{others} {_TIMES} others")
        calls = "call" if self.calls == 1 else "calls"
        number = self._first_number
        first = "first" if number is None else f"first in call {number} (counted from 0)"
        return (
            f"{self.count} of {self.calls} {calls} failed: {', '.join(told)}; {first}{self._first}"
        )


def in_short(error: BaseException) -> str:
    """Return an exception's type and words in a line that is not long.

    >>> in_short(KeyError("seven"))
    "KeyError: 'seven'"
    """
    return f"{type(error).__name__}{_words(error)}"


def _words(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # a user's __str__
        return ""
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f": {text}" if text else ""


def _whereabouts(future: Future[Any]) -> str:
    if not isinstance(future, HubFuture):
        return ""
    where = f", {future.job_url}" if future.job_url else ""
    lines = future.logs().splitlines()[-_LINES:]
    return where + ("; it printed last:\n    " + "\n    ".join(lines) if lines else "")
