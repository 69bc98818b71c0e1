"""From a function and its arguments to a call, with the options that its maker has for all."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import TYPE_CHECKING, Any, Self

from hfexecutor.core.call import Call
from hfexecutor.payload.calls import Pickler
from hfexecutor.payload.indexes import index_secrets
from hfexecutor.payload.needs import NeedsFinder
from hfexecutor.payload.remote_value import RemoteValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.options import Options
    from hfexecutor.payload.calls import Frozen

__all__ = ["CallFactory"]


class CallFactory:
    """Makes calls. An executor has one, and each view of it with other options another.

    Args:
        options: Those of the pool, as far as they are not those of its calls.

    Attributes:
        options: The same.
        needs: Finds what calls need.
        pickler: Pickles them.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._of_calls = options.of_calls
        self.needs = _needs_of(options)
        self.pickler = Pickler(attach=self.needs.attached)

    def with_options(self, **given: Any) -> Self:
        """Return one whose calls have other options.

        Raises:
            TypeError, ValueError: One of them is wrong, or is none of a call.
        """
        options = self.options.with_options(**given)
        other = type(self).__new__(type(self))
        other.options, other._of_calls = options, options.of_calls  # noqa: SLF001 - our own class
        other.needs, other.pickler = self.needs, self.pickler
        if options.dependencies != self.options.dependencies:
            _check_dependencies(self.options, options)
            other.needs = _needs_of(options, of_each_call=True)
            other.pickler = Pickler(attach=other.needs.attached, buffers=self.pickler.buffers)
        return other

    def freeze(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Frozen:
        """Return a call's bytes. Raises what :meth:`Pickler.freeze` does."""
        options = self._of_calls
        return self.pickler.freeze(fn, args, kwargs, options.call_timeout, keep=options.keep_remote)

    def make(self, call_id: int, future: Any, frozen: Frozen) -> Call:
        """Return a call."""
        function, data, attachments, buffers, contents, imports = frozen
        options = self._of_calls
        call = Call(call_id, future, data, function, attachments, buffers, options=options)
        if contents:
            call.contents = contents
        if options.keep_remote:
            buffers_of_all = self.pickler.buffers
            call.make_handle = functools.partial(
                RemoteValue, imports=imports, buffers=buffers_of_all
            )
        return call


def with_needs_of_initializer(options: Options) -> Options:
    """Return the options that say whether their initializer needs more than Python has."""
    if options.initializer is None:
        return options
    needs = _needs_of(options).initializer_needs
    return dataclasses.replace(options, initializer_needs=needs)


def _needs_of(options: Options, *, of_each_call: bool = False) -> NeedsFinder:
    return NeedsFinder(
        options.dependencies,
        initializer=options.initializer,
        package_data=options.package_data,
        most_bytes=options.local_code_limit,
        of_each_call=of_each_call,
    )


def _check_dependencies(pool: Options, of_calls: Options) -> None:
    """Raise ValueError where jobs that were launched for a pool could not install them."""
    wanted, has = of_calls.dependencies, pool.dependencies
    if pool.initializer_needs and has.auto and not wanted.auto:
        raise ValueError(
            "the initializer runs with what each call has, and needs packages: add 'auto' to these "
            "dependencies, like ['auto', 'torch==2.9']"
        )
    installs = wanted.auto or wanted.given
    if installs and not has.auto and not has.given and index_secrets(os.environ):
        raise ValueError(
            "with dependencies=None jobs are not told where this environment has its packages "
            "from, so they could not install these: make the executor with other dependencies"
        )
