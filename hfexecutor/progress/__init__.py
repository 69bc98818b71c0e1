"""How far a run, or a map, has come: counted, put into words, and shown where a person looks.

:mod:`~hfexecutor.progress.tally` counts, :mod:`~hfexecutor.progress.words` says it in the space
that there is, :mod:`~hfexecutor.progress.screens` are a terminal, a notebook and a pipe, and
:mod:`~hfexecutor.progress.display` is the thread that draws: nobody else waits for a slow terminal.
"""
