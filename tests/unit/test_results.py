"""From an outcome to what `Future.result` returns or raises, with the words a user reads."""

from __future__ import annotations

import pickle
import traceback

import cloudpickle
import pytest

from hfexecutor import errors
from hfexecutor.remote import outcomes, plain
from hfexecutor.results import RemoteTraceback, unwrap
from hfexecutor.runtime.result_file import ResultFile
from hfexecutor.runtime.values_bucket import ValuesBucket

JOB = "job 123 (stage RUNNING) https://hub/jobs/me/123"
FAILURES = [name for name in outcomes.__all__ if name.isupper() and name != "VALUE"]


def answer(data):
    return unwrap(outcomes.decode(data), JOB)


def error_of(status, details, duration=1.0):
    value, error = answer(outcomes.encode_details(status, duration, 0, details))
    assert value is None
    return error


def raised(error, status=outcomes.RAISED, whole=None, parts=b"", text="Traceback: line 1\n"):
    """Return what a future gets when `error` was raised in a job."""
    whole = cloudpickle.dumps(error) if whole is None else whole
    told = outcomes.Raised(text, type(error).__qualname__, str(error), whole, parts)
    value, error = answer(outcomes.encode(status, 1.0, 0, told.encode()))
    assert value is None
    return error


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, "text", [1, {2}], {"a": b"b"}])
def test_a_value_arrives(value):
    assert answer(outcomes.encode(outcomes.VALUE, 1.0, 0, pickle.dumps(value))) == (value, None)


@pytest.mark.parametrize("details", [{}, {"name": "run"}, {"name": "a" * 32, "size": "many"}])
def test_a_handle_is_of_what_jobs_say_and_of_nothing_else(details):
    bucket = ValuesBucket("http://hub", "me", "0" * 32, "run")
    outcome = outcomes.decode(outcomes.encode_details(outcomes.IN_BUCKET, 1.0, 0, details))

    def handle(outcome, where):
        return ResultFile(bucket, outcome.details(), where, str)

    value, error = unwrap(outcome, JOB, handle=handle)
    assert value is None
    assert type(error) is errors.UnpicklableResultError
    assert JOB in str(error)


def test_an_exception_that_was_returned_is_a_value():
    value, error = answer(outcomes.encode(outcomes.VALUE, 1.0, 0, pickle.dumps(KeyError("a"))))

    assert isinstance(value, KeyError)
    assert error is None


def test_a_value_that_cannot_be_loaded_here_says_why_and_where_it_came_from():
    payload = b"cnowhere_to_be_found\nThing\n."
    value, error = answer(outcomes.encode(outcomes.VALUE, 1.0, 0, payload))

    assert value is None
    assert type(error) is errors.UnpicklableResultError
    assert str(error) == (
        "the result cannot be unpickled here (ModuleNotFoundError: No module named "
        f"'nowhere_to_be_found'). It came from {JOB}; is a package missing on this side, or of "
        "another version?"
    )
    assert isinstance(error.__cause__, ModuleNotFoundError)


# --- exceptions -----------------------------------------------------------------------------


def test_an_exception_keeps_its_type_and_has_the_remote_traceback_as_its_cause():
    error = raised(KeyError("a", 1))

    assert type(error) is KeyError
    assert error.args == ("a", 1)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert error.__cause__.text == "Traceback: line 1\n"


def test_the_remote_traceback_is_printed_with_the_exception():
    printed = "".join(traceback.format_exception(raised(ValueError("no"))))

    assert '"""\nTraceback: line 1\n"""' in printed
    assert "direct cause" in printed
    assert printed.endswith("ValueError: no\n")


def test_a_remote_traceback_survives_pickling():
    again = pickle.loads(pickle.dumps(RemoteTraceback("text")))

    assert (again.text, str(again)) == ("text", '\n"""\ntext"""')


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
def test_an_exception_of_any_kind_arrives(error):
    assert (type(raised(error)), raised(error).args) == (type(error), error.args)


def test_an_exception_that_is_false_arrives():
    class NoErrors(Exception):
        def __bool__(self):
            return False

    assert not raised(NoErrors("none"))
    assert type(raised(NoErrors("none"))).__name__ == "NoErrors"


def test_an_exception_that_takes_no_attributes_arrives():
    class SealedError(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    error = raised(SealedError(7))

    assert error.args == (7,)
    assert isinstance(error.__cause__, RemoteTraceback)


def test_an_exception_that_had_to_be_taken_apart_is_put_together():
    error = raised(OSError(), whole=b"", parts=pickle.dumps((OSError, (2, "gone"), {"note": 1})))

    assert isinstance(error, OSError)
    assert (error.errno, error.note) == (2, 1)


@pytest.mark.parametrize("whole", [b"", b"cnowhere_to_be_found\nOops\n.", pickle.dumps("text")])
def test_an_exception_that_cannot_be_rebuilt_is_told_in_words(whole):
    error = raised(LookupError("lost"), whole=whole)

    assert type(error) is errors.RemoteCallError
    assert str(error) == (f"LookupError: lost (the exception itself cannot be rebuilt here; {JOB})")
    assert error.__cause__.text == "Traceback: line 1\n"


def test_a_failed_initializer_breaks_the_executor_and_says_why():
    error = raised(ValueError("no data"), status=outcomes.INITIALIZER)

    assert type(error) is errors.BrokenHubExecutor
    assert str(error) == f"the initializer raised ValueError: no data, so no call can run; {JOB}"
    assert str(error.__cause__) == "no data"
    assert isinstance(error.__cause__.__cause__, RemoteTraceback)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError(), "raised KeyError, so"),
        (ValueError("two\n  lines"), "raised ValueError: two lines, so"),
        (ValueError("x" * 9_999), f"raised ValueError: {'x' * 500}..., so"),
    ],
)
def test_what_the_initializer_raised_is_told_in_one_line(error, words):
    assert words in str(raised(error, status=outcomes.INITIALIZER))


# --- what ended without the call having its say ---------------------------------------------


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"signal": 9}, "was killed by SIGKILL, likely out of memory"),
        ({"signal": 11}, "was killed by SIGSEGV, a crash in native code"),
        ({"signal": 15}, "was killed by SIGTERM"),
        ({"signal": 99}, "was killed by signal 99"),
        ({"exitcode": 3}, "ended with exit code 3 before its time"),
        ({"exitcode": 0, "signal": None}, "ended with exit code 0 before its time"),
        ({"exitcode": 1, "during": "call"}, "ended with exit code 1 before its time"),
        ({"exitcode": 1, "during": "start"}, "before its time while it started"),
    ],
)
def test_a_dead_process_is_told_by_its_signal_or_exit_code(details, words):
    error = error_of(outcomes.DIED, {"pid": 7, **details})

    assert type(error) is errors.CallDiedError
    assert str(error).startswith("the process that ran the call ")
    assert f"{words}; {JOB}" in str(error)


def test_a_call_that_was_killed_on_request_says_so():
    error = error_of(outcomes.DIED, {"pid": 7, "signal": 9, "asked": True})

    assert type(error) is errors.CallStoppedError
    assert str(error) == f"the call was killed, as asked; {JOB}"


@pytest.mark.parametrize(("seconds", "told"), [(60, "60"), (0.5, "0.5"), (None, "1.25")])
def test_a_call_that_took_too_long_names_the_limit(seconds, told):
    details = {} if seconds is None else {"seconds": seconds}
    error = error_of(outcomes.TIMEOUT, details, duration=1.25)

    assert type(error) is errors.CallTimeoutError
    assert isinstance(error, TimeoutError)
    assert str(error) == f"the call ran longer than call_timeout={told} s; {JOB}"


def test_a_result_that_cannot_travel_is_shown():
    details = {"type": "lock", "repr": "<lock>", "error": "cannot pickle", "traceback": "Trace"}
    error = error_of(outcomes.UNPICKLABLE, details)

    assert type(error) is errors.UnpicklableResultError
    assert str(error) == (
        f"the call returned <lock> (lock), which cannot be pickled: cannot pickle. It ran in {JOB}"
    )
    assert error.__cause__.text == "Trace"


@pytest.mark.parametrize("kind", ["generator", "map", "filter"])
def test_who_returns_an_iterator_is_told_to_return_a_list(kind):
    error = error_of(outcomes.UNPICKLABLE, {"type": kind, "repr": "<it>", "error": "no"})

    assert "no; return list(...) of it instead. It ran in" in str(error)
    assert error.__cause__ is None


def test_a_call_that_cannot_be_loaded_there_says_which_module_is_missing():
    details = {
        "type": "ModuleNotFoundError",
        "error": "No module named 'mine.own'",
        "traceback": "T",
    }
    error = error_of(outcomes.BAD_CALL, details)

    assert type(error) is errors.MissingModuleError
    assert error.name == "mine.own"
    assert str(error).startswith(
        "the job has no module 'mine.own'. It is not installed here either"
    )
    assert str(error).endswith(f"It ran in {JOB}")
    assert error.__cause__.text == "T"


def test_a_call_that_raises_for_a_module_that_is_missing_says_what_to_do():
    raised = outcomes.Raised(
        "T", "ModuleNotFoundError", "no", pickle.dumps(ModuleNotFoundError("no", name="mine"))
    )
    outcome = outcomes.decode(outcomes.encode(outcomes.RAISED, 0.1, 0, raised.encode()))
    error = unwrap(outcome, JOB)[1]

    assert (type(error), error.name) == (errors.MissingModuleError, "mine")
    assert error.__cause__.text == "T"


@pytest.mark.parametrize("kind", ["ImportError", "AttributeError"])
def test_a_call_that_cannot_be_loaded_may_have_met_another_version(kind):
    error = error_of(outcomes.BAD_CALL, {"type": kind, "error": "no"})

    assert "Has the job another version of that module than is installed here?" in str(error)


def test_what_cannot_be_installed_ends_with_what_uv_says():
    details = {"requirements": ["a==1", "b==2"], "error": "there is no a"}
    error = error_of(outcomes.NOT_INSTALLED, details)

    assert type(error) is errors.DependencyError
    assert str(error) == (
        f"the job cannot install what the call needs (a==1 b==2); {JOB}. The last lines of uv:\n"
        "there is no a"
    )


def test_a_call_that_cannot_be_loaded_for_its_own_reasons_gives_them():
    error = error_of(outcomes.BAD_CALL, {"type": "ValueError", "error": "bad state"})

    assert str(error) == f"the call cannot be unpickled in the job (ValueError: bad state). {JOB}"


def test_another_python_is_named_with_both_versions():
    error = error_of(outcomes.MISMATCH, {"wanted": [3, 11], "found": [3, 12, 1]})

    assert type(error) is errors.PythonMismatchError
    assert str(error) == (
        "the image has Python 3.12.1, but this script runs Python 3.11, and pickles are not safe "
        f"to exchange between them. Use an image with Python 3.11; {JOB}"
    )


# --- the unexpected -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"\x00", b"null", b"[]", b'"text"', b"{}", b"\xff" * 9),
        plain.pack({"seconds": "x", "wanted": 3}),
        plain.pack({"signal": "x", "during": [], "type": [], "seconds": None}),
    ],
)
def test_an_outcome_of_any_shape_becomes_an_error_and_raises_nothing(payload):
    for status in FAILURES:
        value, error = answer(outcomes.encode(getattr(outcomes, status), 1.0, 0, payload))

        assert value is None, status
        assert isinstance(error, errors.HubExecutorError), status
        assert JOB in str(error), status


def test_every_status_is_known():
    assert all(
        isinstance(error_of(getattr(outcomes, status), {}), errors.HubExecutorError)
        for status in FAILURES
    )
