"""A GPU for a minute: multiply matrices on a flavor with one, and say what it cost.

On the real Hub this starts one `t4-small` job (about $0.40 an hour, billed by the minute), so it
needs a token with credits. Try it for nothing first:

    HFEXECUTOR_ENDPOINT=local python examples/gpu.py     # a dry run on this machine
    python examples/gpu.py                               # the real thing
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import Any

from hfexecutor import HubExecutor


def look_around() -> dict[str, Any]:
    """Tell which GPU this machine has, as far as its driver says."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {"gpu": None}
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return {"gpu": answer.stdout.strip() or None}


def multiply(size: int, times: int) -> dict[str, Any]:
    """Multiply two matrices with torch and return how fast that was."""
    try:
        import torch  # noqa: PLC0415 (only the job needs it)
    except ImportError:
        return {"device": "none: torch is not installed here"}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.rand(size, size, device=device)
    print(f"multiplying {size} x {size} on {device}", flush=True)  # see future.logs()
    (a @ a).sum().item()  # the first one pays for the set-up
    started = time.perf_counter()
    for _ in range(times):
        a = a @ a / size
    a.sum().item()  # waits for the device
    seconds = time.perf_counter() - started
    return {"device": device, "teraflops": round(2 * size**3 * times / seconds / 1e12, 2)}


def main() -> int:
    dry_run = os.environ.get("HFEXECUTOR_ENDPOINT") == "local"
    executor = HubExecutor(
        max_workers=1,
        flavor="t4-small",
        dependencies=[] if dry_run else ["torch", "numpy"],
        timeout="15m",  # of the job: a limit to what a mistake can cost
        idle_timeout=30,
    )
    with executor:
        seen = executor.submit(look_around)
        done = executor.submit(multiply, *((256, 2) if dry_run else (8192, 20)))
        print(seen.result())
        print(done.result())
        print(done.logs(), end="")
        print(f"ran in {done.job_url}")
        print(executor)
    return 0


if __name__ == "__main__":
    sys.exit(main())
