"""What acts: a thread with an event loop, and one edge for each way to touch the world.

:mod:`~hfexecutor.runtime.runner` carries what happened to the core and its commands to the edges:

==============  ==============================================================================
launcher        launches, and looks for jobs whose launch got no clear answer
poller          lists, inspects and cancels jobs
log_reader      follows logs; :mod:`~hfexecutor.runtime.log_parser` makes news of their lines
door_client     takes messages to doors, and fetches large outcomes from them
completer       resolves futures
==============  ==============================================================================

An edge turns commands into requests, and what comes of them into events. It decides nothing.
"""
