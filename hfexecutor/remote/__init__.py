"""The code that travels into a job: frames, outcomes, supervisor, door, child.

It needs nothing but the standard library and the cloudpickle that travels with it, imports
nothing of the client, and inside a job goes by the name ``hfexecutor_remote``. A job pays for
every import at its start, so modules here import little, and late what is rarely needed.
"""
