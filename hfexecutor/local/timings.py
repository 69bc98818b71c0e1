"""How long things take on a Hub: one table, two instances."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Delays of a LocalHub, in seconds unless a name says otherwise.

    Attributes:
        start: from the request that starts a job to its stage RUNNING.
        api: added to every reply of the API.
        door: added to every round trip through an exposed port.
        door_rate: bytes per second of one connection through an exposed port, each way; None: any.
        log_lag: from a job's write to the moment at which followers of its log get it.
        stage_lag: from a job's last line to the stage that says how it ended.
        keep_alive: between two comments on a silent event stream.
        metrics: between two samples on a metrics stream.
        mount: from the start of a job that has volumes until they are there.
        mount_read: from a change of a bucket until it shows in the volumes made of it.
        mount_write: from the close of a file of a volume until it is in the bucket.
        job_timeout: how long a job may run that asks for no timeout.
    """

    start: float = 0.0
    api: float = 0.0
    door: float = 0.0
    door_rate: float | None = None
    log_lag: float = 0.0
    stage_lag: float = 0.0
    keep_alive: float = 30.0
    metrics: float = 1.0
    mount: float = 0.0
    mount_read: float = 0.0
    mount_write: float = 0.0
    job_timeout: float = 1800.0


# No delay that is not the machine's own: for tests and dry runs.
INSTANT = Timings()

# What has been measured or said of the real Hub.
HUB = Timings(
    start=5.8,  # median cold start on cpu-basic, told by Hugging Face's maintainers
    api=0.1,  # an assumption: about the door's round trip, which crosses the same network
    door=0.105,  # round trip through an exposed port, told by Hugging Face's maintainers
    door_rate=2 * 1024**2,  # per TCP connection, same source (many connections reach 340 MiB/s)
    log_lag=0.0,  # not known
    stage_lag=1.3,  # comment in huggingface_hub's log reader
    keep_alive=30.0,  # comment in huggingface_hub's log reader
    metrics=1.0,  # comment in huggingface_hub's metrics reader
    mount=2.5,  # "about 2-3 s on first use", told by Hugging Face's maintainers
    mount_read=10.0,  # hf-mount's documentation: files may be stale for so long (lists for 30 s)
    mount_write=2.0,  # hf-mount's documentation: how long it waits for more to be written
    job_timeout=1800.0,  # documented: 30 minutes
)

PROFILES = {"instant": INSTANT, "hub": HUB}
