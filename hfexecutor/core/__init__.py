"""The core: every decision of a client, without any I/O.

:class:`~hfexecutor.core.machine.Machine` is told what happened (:mod:`~hfexecutor.core.events`)
and answers what is to be done about it (:mod:`~hfexecutor.core.commands`)::

    commands = machine.handle(events, now)

Nothing in this package reads a clock, sleeps, opens a socket, starts a thread, rolls dice of its
own or writes a log: time comes in with the events, chance through a generator that is handed in.
So a test tells a whole history in milliseconds, a simulation tells millions of them, and a
recorded run can be replayed. What acts is in :mod:`hfexecutor.runtime`, and decides nothing.
"""
