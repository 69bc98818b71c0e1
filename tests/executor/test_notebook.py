"""What a notebook shows, by a real kernel: how far a run has come, and the objects of a cell."""

from __future__ import annotations

import os
import textwrap

import pytest

pytestmark = pytest.mark.slow

CELLS = [
    """
    from hfexecutor import HubExecutor
    hub = dict(endpoint={endpoint!r}, token={token!r})
    executor = HubExecutor(1, name="shown", progress=True, idle_timeout=300, **hub)
    def work(n):
        print("<i>working on</i>", n)
        if n == 3:
            raise ValueError("<script>alert(1)</script>")
        return n * n
    futures = [executor.submit(work, n) for n in range(4)]
    errors = [future.exception() for future in futures]
    """,
    "executor",
    "futures[-1]",
    "futures[0]",
    "executor.stats()",
    "run = HubExecutor.attach('shown', **hub)",
    "[future.exception() for future in run.futures.values()]; run",
    "run.close(); executor.shutdown()",
]


@pytest.fixture(scope="module")
def notebook(hub, tmp_path_factory):
    """A notebook whose cells were run; the HTML that each shows, in their order."""
    import nbformat
    from nbclient import NotebookClient

    home = tmp_path_factory.mktemp("home")
    sources = [
        textwrap.dedent(cell).format(endpoint=hub.endpoint, token=hub.token) for cell in CELLS
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, timeout=240, startup_timeout=240, kernel_name="python3")
    client.execute(env={**os.environ, "IPYTHONDIR": str(home)}, cwd=str(home))
    return [
        [
            output.data["text/html"]
            for output in cell.outputs
            if "text/html" in output.get("data", ())
        ]
        for cell in notebook.cells
    ]


def test_progress_is_one_bar_below_the_cell_that_began_it(notebook):
    first, *others = notebook
    (bar,) = first

    assert '<progress max="4" value="4"></progress>' in bar
    assert "1 failed" in bar
    assert [one for shown in others for one in shown if "<progress" in one] == []


def test_objects_are_shown_as_tables(notebook):
    _, (executor,), (failed,), (good,), (stats,), _, (run,), _ = notebook

    assert "3 done, 1 failed" in executor
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in failed
    assert "&lt;i&gt;working on&lt;/i&gt; 3" in failed
    assert "<script" not in failed + good
    assert ">int<" in good
    assert "3 done, 1 failed" in stats
    assert "4 done, 0 open" in run
    assert all('<a href="http' in shown for shown in (executor, failed, good, run))
