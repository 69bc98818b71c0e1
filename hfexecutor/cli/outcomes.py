"""The outcomes of a run's calls: waited for, shown, written into a file."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.attached import attach
from hfexecutor.cli.choosing import choose, full_name
from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.cli.place import verb_error
from hfexecutor.cli.tables import Column, show_table, terminal_width
from hfexecutor.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hfexecutor.attached import AttachedRun
    from hfexecutor.cli.place import Place
    from hfexecutor.futures import HubFuture

__all__ = ["attached_to", "check_form", "code_of", "show", "wait_for", "write"]

_LOOK: Final = 0.5  # seconds between two looks at whether jobs tell of more calls
_SPEAK: Final = 10.0  # seconds between two lines of progress where there is no terminal
_SHOWN: Final = 100  # calls
_PICKLES: Final = (".pkl", ".pickle")
_LINES: Final = (".jsonl", ".ndjson")
_KEY: Final = Column("KEY", cut=True)
_COLUMNS: Final = (
    Column("CALL", right=True),
    _KEY,
    Column("STATE"),
    Column("JOB", weight=1),
    Column("RESULT", cut=True),
)


@contextmanager
def attached_to(place: Place, name: str) -> Iterator[AttachedRun]:
    """Attach to the run that is meant.

    Results may be of classes in modules of the user's: those of the current directory are found.

    Raises:
        VerbError: There is no such run, or the Hub refuses it.
    """
    run = choose(place, name)
    sys.path.insert(0, str(Path.cwd()))
    try:
        attached = attach(run.name, nonce=run.nonce, **place.as_options)
    except HubError as error:
        raise verb_error(error) from error
    with attached:
        try:
            yield attached
        except KeyboardInterrupt:
            click.echo(f"\nits jobs go on: hfexecutor attach {full_name(run)}", err=True)
            raise


def wait_for(run: AttachedRun) -> None:
    """Wait until all calls that jobs tell of are over, and say meanwhile how far they are."""
    spoken, said = -_SPEAK, ""
    live = sys.stderr.isatty()
    while True:
        futures = run.futures
        words = _progress(run, futures)
        is_open = [future for future in futures.values() if not future.done()]
        last = not is_open
        if words != said and (live or last or time.monotonic() - spoken >= _SPEAK):
            spoken, said = time.monotonic(), words
            _speak(words, live=live, last=last)
        if last:
            return
        wait(is_open, timeout=_LOOK)


def show(run: AttachedRun) -> None:
    """Show outcomes, those that are no values first where there are many."""
    futures = sorted(run.futures.items(), key=lambda item: (_state(item[1]) == "done", item[0]))
    shown = sorted(futures[:_SHOWN], key=lambda item: item[0])
    if shown:
        keys = run.keys
        columns = [column for column in _COLUMNS if keys or column is not _KEY]
        show_table(columns, [_row(number, future, keys) for number, future in shown])
    left = len(futures) - len(shown)
    if left:
        click.echo(
            f"and {left:,} more: `hfexecutor results {run.name} -o FILE.pkl` has all", err=True
        )
    if missing := run.missing:
        numbers = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")  # noqa: PLR2004
        click.echo(f"{len(missing)} calls were never handed out: {numbers}", err=True)


def code_of(run: AttachedRun) -> ExitCode:
    """Return whether all that is known of the run has ended well."""
    well = all(_state(future) == "done" for future in run.futures.values())
    return ExitCode.DONE if well and not run.missing else ExitCode.FAILED


def check_form(path: Path) -> None:
    """Check that a file's name says what is to be in it.

    Raises:
        VerbError: It does not.
    """
    known = (*_PICKLES, *_LINES)
    if str(path) != "-" and path.suffix not in known:
        raise VerbError(f"{path} should end in one of {', '.join(known)}, or be -", ExitCode.USAGE)


def write(run: AttachedRun, path: Path) -> int:
    """Write what has ended, in the form that the file's name asks for; return of how many calls.

    The file appears as a whole, or not at all.

    Raises:
        VerbError: The file cannot be written.
    """
    ended = {n: future for n, future in sorted(run.futures.items()) if future.done()}
    if str(path) == "-":
        for line in _json_lines(ended, run.keys):
            click.echo(line)
        return len(ended)
    if path.suffix in _PICKLES:
        data = cloudpickle.dumps({n: _outcome(future) for n, future in ended.items()})
    else:
        data = "".join(f"{line}\n" for line in _json_lines(ended, run.keys)).encode()
    try:
        _replace(path, data)
    except OSError as error:
        raise VerbError(f"{path} cannot be written: {error}", ExitCode.USAGE) from error
    return len(ended)


def _replace(path: Path, data: bytes) -> None:
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _json_lines(ended: dict[int, HubFuture[Any]], keys: Mapping[int, str]) -> Iterator[str]:
    """Yield a line for each call; a value that is no JSON is there as its repr alone."""
    for number, future in ended.items():
        found: dict[str, Any] = {"call": number, "state": _state(future)}
        if number in keys:
            found["key"] = keys[number]
        outcome = _outcome(future)
        if found["state"] == "done":
            try:
                json.dumps(outcome)
            except (TypeError, ValueError):
                found["repr"] = _repr(outcome)
            else:
                found["value"] = outcome
        else:
            found["error"] = {"type": type(outcome).__name__, "message": str(outcome)}
        yield json.dumps(found)


def _outcome(future: HubFuture[Any]) -> Any:
    """Return the value, or what was raised."""
    if future.cancelled():
        return None
    error = future.exception(0)
    return future.result(0) if error is None else error


def _state(future: HubFuture[Any]) -> str:
    if not future.done():
        return "open"
    if future.cancelled():
        return "canceled"
    return "done" if future.exception(0) is None else "failed"


def _row(number: int, future: HubFuture[Any], keys: Mapping[int, str]) -> list[str]:
    state, text = _state(future), ""
    if state == "done":
        text = _repr(future.result(0))
    elif state == "failed":
        error = future.exception(0)
        text = " ".join(f"{type(error).__name__}: {error}".split())
    key = [keys.get(number, "")] if keys else []
    return [str(number), *key, state, future.job_id or "", text]


def _repr(value: Any) -> str:
    try:
        return repr(value)[:1000]
    except Exception as error:  # the user's own code
        return f"<{type(value).__name__} without a repr: {type(error).__name__}>"


def _progress(run: AttachedRun, futures: Any) -> str:
    states = Counter(_state(future) for future in futures.values())
    known = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    return f"{run.name}: {known or 'no calls are known'}"


def _speak(words: str, *, live: bool, last: bool) -> None:
    if not live:
        click.echo(words, err=True)
        return
    width = terminal_width() or 80
    click.echo(f"\r{words[: width - 1]:<{width - 1}}", err=True, nl=last)
