"""What travels to jobs: calls, and what they need there.

A call names what it will import (:mod:`.imports`). Each module lies in the standard library, in a
distribution, or in a file of the user's (:mod:`.modules`, :mod:`.distributions`). Distributions
become pinned requirements (:mod:`.requirements`), the user's files archives (:mod:`.local_code`,
:mod:`.archives`). :mod:`.needs` puts this together, and remembers.
"""
