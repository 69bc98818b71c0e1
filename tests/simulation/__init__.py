"""A simulation of whole runs: the real cores on both sides, a model of the rest, virtual time.

    python -m tests.simulation --seed 7        # one run, and what it did
    python -m tests.simulation --minutes 60    # as many as fit

One seed decides everything: sizes, options, which faults there are and how often, every delay. A
run that goes wrong prints the command that repeats it, made as small as it can be.

======================  ===========================================================================
:mod:`plan`             what a seed amounts to: all knobs of a run, as one value
:mod:`clock`            virtual time
:mod:`supervisor`       a job from within: the real machine of `hfexecutor/remote`, driven
:mod:`children`         its processes: they take tickets, run calls, print, hang, die, are killed
:mod:`hub`              jobs from outside: launches, stages, lists that lag and miss, ends
:mod:`logs`             readings of a job's log: windows, cuts, stalls, repetitions
:mod:`doors`            messages to jobs: lost on the way there, lost on the way back, late
:mod:`client`           the core, and edges that turn its commands into all of these
:mod:`attached`         another process that watches the jobs of a client which is gone
:mod:`user`             who submits, cancels, kills, closes; and the futures that result
:mod:`checks`           what has to be true after every step, and at the end
:mod:`run`              one run from its plan to its report
:mod:`shrink`           a smaller plan that goes wrong in the same way
:mod:`mutants`          bugs, put into the cores one at a time: each has to be found
======================  ===========================================================================
"""
