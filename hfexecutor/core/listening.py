"""The request that stands at one worker's door until the worker has something to say.

The log is late on its way, nobody knows how much; a door answers within a round trip. So while a
worker has calls, a request waits for their outcomes and lines. It is renewed before proxies lose
patience, and one more waits after the last outcome, for the next call is likely to come soon; then
it is let run out, and an idle worker is asked nothing.

Where the log turns out to be quick, requests would only bring what is here: then one stands only
when nothing was heard for a while, as in a long call, or when the log is late after all.

Nothing depends on it: all that it brings is in the log as well, so one that fails is only tried
again, after a pause, and says nothing about the door.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from hfexecutor.core.rules import Rules

__all__ = ["Listening"]

_SOON = 60.0  # seconds in which the log should say what was heard through the door


class Listening:
    """The standing request, or when the next one may go.

    Attributes:
        position: How far the worker was listened to, in its own count.
        is_worth_it: The log is late, or nobody knows.
        due: When to look whether a request should go out.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.position = 0
        self.is_worth_it = True
        self.due = math.inf
        self._number = 0  # of the message that stands; 0 for none
        self._begun = 0.0
        self._fruitful = False  # the last one brought something
        self._failures = 0  # in a row
        self._paused_until = -math.inf
        self._heard = 0  # a call of which the outcome came this way first
        self._heard_at = -math.inf
        self._log_first = 0  # one that the log said first while a request stood

    def __repr__(self) -> str:
        return f"<Listening from {self.position}{', standing' if self._number else ''}>"

    def is_wanted(self, now: float, *, owes: bool, since: float) -> bool:
        """Say whether a request should go out now.

        Args:
            now: The time.
            owes: The worker has calls to answer.
            since: When it was heard last, or was given calls.
        """
        if self.due <= now:  # as `tick`, which is a call more: this is asked at each turn
            self.due = math.inf
        if self._number:
            return False
        if now < self._paused_until:
            self.due = self._paused_until
            return False
        if self._heard and now - self._heard_at > self._rules.log_quick:
            self.is_worth_it = True  # the log has not said it yet
        if self.is_worth_it:
            return owes or self._fruitful
        if not owes:
            return False
        silent_at = since + self._rules.listen_after
        if now < silent_at <= self.due:
            self.due = silent_at
        return now >= silent_at

    def tick(self, now: float) -> None:
        """Note that the time has come, if it has."""
        if self.due <= now:
            self.due = math.inf

    def begin(self, number: int, now: float) -> None:
        """Note that a request goes out, as message `number`."""
        self._number, self._begun, self._fruitful = number, now, False

    def answered(
        self, number: int, position: int, now: float, *, news: int = 0, ended: Collection[int] = ()
    ) -> None:
        """Note that a request was answered, perhaps with nothing.

        Args:
            number: Of its message.
            position: After what was said.
            now: The time.
            ended: The calls whose outcomes are in it.
            news: One of them that was not here already; 0 for none.
        """
        if number != self._number:
            return
        if news and now - self._heard_at > _SOON:
            self._heard, self._heard_at = news, now
        if self._log_first in ended:
            self._log_first, self.is_worth_it = 0, False
        said = position != self.position
        self._number, self.position, self._fruitful = 0, position, said
        # One that comes back at once with nothing in it did not stand: not again and again.
        if said or now - self._begun >= self._rules.listen / 2:
            self._failures = 0
        else:
            self._pause(now)

    def failed(self, number: int, now: float) -> None:
        """Note that a request failed."""
        if number == self._number:
            self._number = 0
            self._pause(now)

    def _pause(self, now: float) -> None:
        first, longest = self._rules.listen_again
        self._paused_until = now + min(longest, first * 2.0 ** min(self._failures, 30))
        self.due = self._paused_until
        self._failures += 1

    @property
    def heeds_log(self) -> bool:
        """Whether it makes a difference which outcomes the log says now."""
        return bool(self._number or self._heard)

    def log_says(self, call: int, now: float, *, news: bool) -> None:
        """Note that the log says an outcome; `news`: it was not here already."""
        if news and self._number:
            self._log_first = call
        elif call == self._heard:
            self.is_worth_it = now - self._heard_at > self._rules.log_quick
            self._heard, self._heard_at = 0, -math.inf
