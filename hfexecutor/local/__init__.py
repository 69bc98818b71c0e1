"""An embedded Hugging Face Hub: Jobs without an account, a network or a bill.

This package imports nothing of the rest of hfexecutor: what it believes about the Hub's API is its
own. So a wrong belief cannot pass on both sides.
"""

from . import faults
from .hub import JobView, LocalHub
from .runners import Answer, Launch, Mount, Runner, Running
from .timings import HUB, INSTANT, Timings

__all__ = [
    "HUB",
    "INSTANT",
    "Answer",
    "JobView",
    "Launch",
    "LocalHub",
    "Mount",
    "Runner",
    "Running",
    "Timings",
    "faults",
]
