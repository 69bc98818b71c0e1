"""Fault injection: what decides which faults strike, and what each does where it strikes.

`faults.py` has the faults as data. `injector.py` decides; the other modules act: on requests
(`routes.py`), on jobs (`jobs.py`), on what jobs write (`writes.py`) and on what readers of a log
get (`reads.py`). Those of doors act in the reverse proxy.
"""
