"""What is said of a call before it is sent, and of a module that its job has not."""

from __future__ import annotations

import pickle

import cloudpickle
import pytest

from hfexecutor.errors import HubExecutorError, MissingModuleError, PayloadError
from hfexecutor.payload.archives import build_archive
from hfexecutor.payload.attachments import Attacher, shipped
from hfexecutor.payload.explanation import explain
from hfexecutor.payload.missing import missing_module
from hfexecutor.payload.needs import NeedsFinder
from hfexecutor.payload.requirements import Dependencies


def test_a_page_names_all_that_is_sent_installed_and_run(site, project):
    site.install("library", "2.1", requires=("low",), files={"lib.py": ""})
    site.install("low", "3")
    project.put("beside.py", "import lib\ndef call(x):\n import absent_here\n return x")
    import beside

    data = cloudpickle.dumps((beside.call, (1,), {}))
    findings = NeedsFinder(Dependencies()).explain(0, b"", data)

    text = explain(
        "beside.call", [("the call", 1234)], findings, [("flavor", "cpu-basic"), ("price", "")]
    )

    packed = len(findings.needs.archives[0].data)
    size = findings.needs.archives[0].size
    assert text.splitlines() == [
        "call          beside.call",
        "sent          1,234 bytes  the call",
        f"local code    {packed:,} bytes  beside ({size} bytes unpacked)",
        "installed     library==2.1",
        "              low==3  (required)",
        "not found     absent_here  (imported, and not here)",
        "flavor        cpu-basic",
    ]


def test_a_call_that_needs_nothing_says_so():
    findings = NeedsFinder(Dependencies()).explain(0, b"", cloudpickle.dumps((pow, (1, 2), {})))

    assert "installed     nothing" in explain("pow", [], findings, [])


# --- a module that the job lacks ----------------------------------------------------------------


def test_the_error_is_both_ours_and_pythons():
    error = missing_module("nowhere.at.all", [], [])

    assert isinstance(error, (PayloadError, HubExecutorError))
    assert isinstance(error, ModuleNotFoundError)
    assert isinstance(error, MissingModuleError)
    assert error.name == "nowhere.at.all"


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(missing_module("nowhere", [], [])))

    assert (type(error), error.name) == (MissingModuleError, "nowhere")


def test_it_names_the_line_to_add_with_the_version_that_is_here(site):
    site.install("scikit-thing", "1.4.2+local", files={"skthing/__init__.py": ""})

    text = str(missing_module("skthing.linear", [], []))

    assert 'dependencies=["auto", "scikit-thing==1.4.2"]' in text


def test_it_says_what_was_shipped():
    archive = build_archive("helpers", {"helpers.py": b""})
    went_along = shipped(Attacher().attach(("numpy==2",), [archive]).attachments)

    text = str(missing_module("nowhere", *went_along, "job 7"))

    assert "packages: numpy==2; local code: helpers. It ran in job 7" in text


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda site, project: None, 'dependencies=["auto", "away"]'),
        (lambda site, project: project.put("away.py", ""), "by a plain import statement"),
        (
            lambda site, project: site.install(
                "away", url={"url": "file:///x.whl"}, tag="cp311-cp311-linux_x86_64"
            ),
            "was installed from file:///x.whl",
        ),
    ],
)
def test_what_it_advises_can_be_done(site, project, prepare, words):
    prepare(site, project)

    assert words in str(missing_module("away", [], []))


def test_what_each_job_installs_is_said():
    findings = NeedsFinder(Dependencies(auto=False)).explain(
        0, b"", cloudpickle.dumps((pow, (), {}))
    )

    text = explain("pow", [], findings, [], at_launch=["numpy>=2"])

    assert "installed     numpy>=2  (at the start of each job)" in text
    assert "nothing" not in text
