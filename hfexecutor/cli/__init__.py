"""The command line, `hfexecutor`: one module for each verb, loaded when it is asked for."""

from hfexecutor.cli.program import main

__all__ = ["main"]
