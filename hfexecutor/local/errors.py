"""What a LocalHub answers when it does not do what it was asked."""

from __future__ import annotations


class ApiError(Exception):
    """Become an error reply of the Hub.

    Args:
        status: the HTTP status.
        message: goes into the body and into the header X-Error-Message.
        code: goes into the header X-Error-Code, where the Hub has a word for the case.
    """

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class CannotStartError(Exception):
    """Say why a job's command cannot be started; the job ends in stage ERROR with this message."""


class OutOfMemoryError(Exception):
    """Say that an attempt was killed since it took more memory than its flavor has."""
