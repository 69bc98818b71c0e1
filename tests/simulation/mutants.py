"""Bugs, put into the cores one at a time; the simulation has to find each in the fixed seeds.

    python -m tests.simulation.mutants            # all of them
    python -m tests.simulation.mutants ack        # those whose name has this word

A mutant is a replacement of text that stands once in the package, in a copy of it. One whose text
is not there any more is an error: it would test nothing. The fixed runs are made until one goes
wrong, and the one that found the mutant the last time is made first (found_by.json).
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tokenize
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .paths import FIXED

ROOT = Path(__file__).parents[2]
FOUND_BY = Path(__file__).with_name("found_by.json")  # written by this script alone

# A mutant that asks for more is found: the fixed runs take a minute and 200 MB.
LONGEST, MOST_MEMORY = 1200, 2 << 30  # seconds, bytes


class Mutant(NamedTuple):
    """One bug: what it is, the text of the package that it replaces, and by what.

    One that cannot show in the simulated world names the test that finds it.
    """

    name: str
    old: str
    new: str
    test: str = ""


MUTANTS = (
    Mutant(
        "a call goes to a worker of a flavor that it did not ask for",
        "[w for w in self.live if w.kind in kinds]",
        "self.live",
    ),
    Mutant(
        "a flavor that does not come is waited for without end",
        "        if waited < self._patience(worker, waited):",
        "        if waited:",
    ),
    Mutant(
        "a flavor that does not come is asked for again at once",
        "and now >= self.passed_over_until",
        "",
    ),
    Mutant(
        "what was killed for memory runs on a flavor that has no more of it",
        "self[name].memory > least > 0",
        "self[name].memory >= least > 0",
    ),
    Mutant(
        "each queue may spend what is left",
        "start(queue, kind, slots)\n        self._reckon()",
        "start(queue, kind, slots)",
    ),
    Mutant(
        "an outcome is accepted twice",
        "        state.pending.close(call.id)\n        if wanted:",
        "        if wanted:",
    ),
    Mutant(
        "a call that raises runs again for ever",
        "again.raised, again.avoid = self.raised + 1, self.worker",
        "again.raised, again.avoid = self.raised, self.worker",
    ),
    Mutant(
        "a call runs again once too often",
        "call.retries_left > 0 and not call.killed",
        "call.retries_left >= 0 and not call.killed",
    ),
    Mutant(
        "a call that has raised runs again at once",
        "self._pauses.set(call.id, state.now + event.pause)",
        "self._pauses.set(call.id, state.now)",
    ),
    Mutant(
        "a job is given calls until its timeout ends it",
        "            worker.retiring = True\n            text",
        "            worker.retiring = False\n            text",
    ),
    Mutant(
        "outcomes are not acknowledged",
        "            self.channel.outgoing.acknowledge(call_id)",
        "            pass",
    ),
    Mutant(
        "a log is not read again before its calls are lost",
        "(phase, Words.OWING): (Action.READ_AGAIN, Action.LOSE) for phase in TERMINAL",
        "(phase, Words.OWING): (Action.LOSE, Action.LOSE) for phase in TERMINAL",
    ),
    Mutant(
        "a retry is counted twice",
        "            call.lost += verdict is Verdict.LOST\n",
        "            call.lost += 2 * (verdict is Verdict.LOST)\n",
    ),
    Mutant(
        "a lost call is not counted",
        "            call.lost += verdict is Verdict.LOST\n",
        "",
    ),
    Mutant(
        "calls that are given back are forgotten",
        "ev.GivenBack: lambda worker, news: ends.requeue(worker, news.calls)",
        "ev.GivenBack: lambda worker, news: None",
    ),
    Mutant(
        "a file that a worker cannot read counts as read",
        "        if read:\n            return self._keep(moving)",
        "        return self._keep(moving)",
    ),
    Mutant(
        "a buffer that could not be stored is read",
        "        self._storing.discard(event.name)\n        waiting = self._wanting(event.name)",
        "        self.files.add(event.name)\n        waiting = self._wanting(event.name)",
    ),
    Mutant(
        "a log that is to be read later is forgotten",
        "self.launch.due, self.channel.due, self.log.due,",
        "self.launch.due, self.channel.due,",
    ),
    Mutant(
        "a message that failed is not sent again",
        "self.launch.due, self.channel.due, self.log.due,",
        "self.launch.due, self.log.due,",
    ),
    Mutant(
        "a launch that pauses is forgotten",
        "self.launch.due, self.channel.due, self.log.due,",
        "self.channel.due, self.log.due,",
    ),
    Mutant(
        "a second job of a launch is left alone",
        "        return worker is None or worker.job is not None\n",
        "        return False\n",
    ),
    Mutant(
        "the job of a launch under way is taken for a stray",
        "        return worker is None or worker.job is not None\n",
        "        return True\n",
    ),
    Mutant(
        "a job that works is cancelled as stuck",
        "worker.job and not worker.has_begun]",
        "worker.job and worker.phase.value != 'running']",
    ),
    Mutant(
        "a call that was cancelled in this moment ends all the same",
        "        wanted = call.claimed or state.claim(call)\n",
        "        wanted = call.claimed or state.claim(call) or True\n",
    ),
    Mutant(
        "a job is not told of a cancel",
        "        elif not worker.channel.outgoing.take_back(call.id):\n"
        "            worker.channel.outgoing.kill([call.id])\n",
        "        else:\n            worker.channel.outgoing.take_back(call.id)\n",
    ),
    Mutant(
        "a call that is put back stays its worker's",
        '            call.worker = ""\n',
        "            pass\n",
    ),
    Mutant(
        "a message is sent again as another one",
        "        self.resend_at = math.inf\n        return [self._send()]",
        "        self.resend_at = math.inf\n        self._number += 1\n"
        "        self._message = self._message._replace(number=self._number)\n"
        "        return [self._send()]",
    ),
    Mutant(
        "what may have been delivered counts as never delivered",
        "            (unsure if self._perhaps else returned).update(calls)",
        "            returned.update(calls)",
    ),
    Mutant(
        "what was never sent counts as lost",
        "            if call.id in incomplete or worker.never_began:",
        "            if worker.never_began:",
    ),
    Mutant(
        "a good-bye clears calls that were lost",
        "        return bye is not None and not bye.returned and bye.calls == self.answers",
        "        return bye is not None",
    ),
    Mutant(
        "calls go aboard that must not run twice",
        "repeatable=not worker.one_shot",
        "repeatable=False",
    ),
    Mutant(
        "a launch is repeated although its calls must not run twice",
        "        again = again and (self.repeatable or not self.doubtful)\n",
        "",
    ),
    Mutant(
        "a launch is not looked for before it is repeated",
        "        if found is not None:\n            self.launched(found)\n        elif",
        "        if",
    ),
    Mutant(
        "a job that no list shows is not asked for",
        "worker.missed >= worker.missable and not worker.inspecting",
        "False",
    ),
    Mutant(
        "a job that the Hub does not know lives on",
        '            self._see(worker, worker.job._replace(stage="DELETED"))\n',
        "",
    ),
    Mutant(
        "a worker that is silent is not asked",
        "            elif worker.takes_calls:\n                self._probe(worker)\n",
        "",
    ),
    Mutant(
        "a job that runs and says nothing is not listened to anew",
        "            if worker.hello is None:\n"
        "                self._listen_again(worker)\n"
        "            el",
        "            ",
    ),
    Mutant(
        "a job that was started again goes on",
        "        if worker.was_started_again and not worker.is_closing and not state.adopted:\n",
        "        if False:\n",
    ),
    Mutant(
        "lists are asked for without a pause",
        "    growth: float = 1.6\n",
        "    growth: float = 1.0\n",
    ),
    Mutant(
        "a launch that nobody wants keeps its place",
        "        if unsent:\n            self._state.do(do.Withdraw(worker.id))\n",
        "",
    ),
    Mutant(
        "a suspect gets company",
        "            risk=risk or self._suspects > 0,\n",
        "            risk=False,\n",
    ),
    Mutant(
        "a kill is not passed on",
        "        elif worker.takes_orders:\n            worker.channel.outgoing.kill([call.id])\n",
        "        elif worker.takes_orders:\n            pass\n",
    ),
    Mutant(
        "what was handed ahead stays behind a long call",
        "        if not worker.is_stalled(now):\n            return 0\n        return max(",
        "        return 0\n        return max(",
    ),
    Mutant(
        "a worker that does not leave is not cancelled",
        "            worker.leave_by = math.inf\n            text",
        "            worker.leave_by = math.inf\n            return\n            text",
    ),
    Mutant(
        "an abort forgets the jobs",
        "        for worker in list(state.workers.values()):\n            ends.stop(worker)\n",
        "",
    ),
    Mutant(
        "who waits for a cancelled future is not woken",
        "        self._state.do(do.NotifyCancelled(call))\n",
        "",
    ),
    Mutant(
        "a function is sent once for all workers",
        "            if (kind, number) not in self._kept:\n",
        "            if number < 2 and (kind, number) not in self._kept:\n",
    ),
    Mutant(
        "a job that is cancelled is cancelled again and again",
        "        if self._ends.is_known(job.id):\n            return False\n",
        "",
    ),
    Mutant(
        "jobs that are over are kept in mind for ever",
        "if i in alive or at > horizon}",
        "if True}",
    ),
    # --- in the job
    Mutant(
        "an outcome that is out of sight is not said again",
        "        self.repeat(self.unacknowledged.out_of_sight(self._fresh))\n",
        "",
    ),
    Mutant(
        "what is asked for again is not said",
        "        for call, data in kept.some(calls) if calls else kept.all():\n",
        "        for call, data in ():\n",
    ),
    Mutant(
        "a good-bye leaves outcomes unsaid",
        "        self.log.last_words()\n",
        "",
    ),
    Mutant(
        "a good-bye counts wrongly",
        "        if call:\n            self.answered += 1\n",
        "        if call and outcome[:1] != outcomes.DIED:\n            self.answered += 1\n",
    ),
    Mutant(
        "an acknowledgement is lost",
        "            self.unacknowledged.drop(call)\n",
        "            pass\n",
    ),
    Mutant(
        "what is given back is not said",
        "entries.pack_ids(given_back)",
        "entries.pack_ids([])",
    ),
    Mutant(
        "a recall takes what has begun",
        "            calls = [call for call in self._ask(slot.index) if call in slot.given]\n",
        "            self._ask(slot.index)\n            calls = list(slot.given)\n",
    ),
    Mutant(
        "a kill hits the call that runs by now",
        "        if slot.current in slot.condemned:\n",
        "        if slot.condemned:\n",
    ),
    Mutant(
        "a kill in a process that is let go is lost",
        "        return self.phase in {READY, CLOSING}\n",
        "        return self.phase == READY\n",
    ),
    Mutant(
        "a call times out before its time",
        "        slot.began = now\n        slot.stale_at = now",
        "        slot.stale_at = now",
    ),
    Mutant(
        "what a process died with before it began is lost",
        "        slot = self.slots[index]\n        self._take_back(slot)\n        call, phase",
        "        slot = self.slots[index]\n        call, phase",
    ),
    Mutant(
        "a message that comes twice is done twice",
        "        if reply is not None:\n            self.heard_at = now\n",
        "        if reply is not None and False:\n            self.heard_at = now\n",
    ),
    Mutant(
        "a call that is here is taken once more",
        "        known = self._pool.holds(entry.call) or entry.call in self._log.unacknowledged\n",
        "        known = False\n",
        # No client says a call in two messages: a message is repeated under its number.
        test="tests/unit/remote/test_machine.py::test_a_call_that_comes_twice_runs_once",
    ),
    Mutant(
        "a function counts as known to every process",
        "            if function not in slot.known and function in functions:\n",
        "            if not slot.index and function not in slot.known and function in functions:\n",
    ),
    Mutant(
        "a process does more than its share",
        "        return depth if most_calls is None else min(depth, most_calls - self.finished)\n",
        "        return depth\n",
    ),
    Mutant(
        "packages of two worlds meet in one process",
        "        if need.environment is not None and self.environment not in {None, ",
        "        if need.environment is not None and self.environment in {-1, ",
    ),
    Mutant(
        "what was printed goes to the next call",
        "        if lines := slot.output.end_call():\n",
        "        if lines := ():\n",
    ),
    Mutant(
        "a fork that failed is due for ever",
        "        if self._fork_again_at <= now:\n",
        "        if self._fork_again_at <= now and self.queue:\n",
    ),
    Mutant(
        "an idle job stays",
        "        self._idle_at = self._idle_since + timeout\n",
        "        self._idle_at = self._idle_since + 10 * timeout\n",
    ),
    Mutant(
        "what is large and not fetched is not said in the log",
        "            self.repeat(self.unacknowledged.take_announced(due))\n",
        "            self.unacknowledged.take_announced(due)\n",
    ),
    Mutant(
        "a job that was told to leave stays until it is idle",
        "        if self._orders.leave:\n",
        "        if self._orders.leave and False:\n",
    ),
    # --- between them
    Mutant(
        "a gap in the frames is not noticed",
        "        self._gap = self._gap or number > expected\n",
        "",
    ),
    Mutant(
        "an entry in parts is taken for whole",
        "        if len(have) < parts:\n            self._give_up((kind, call, parts))\n",
        "        if not have:\n            self._give_up((kind, call, parts))\n",
    ),
    Mutant(
        "frames are numbered anew in each line",
        "        self.number += 1\n        body",
        "        body",
    ),
    Mutant(
        "a buffer counts as there with its first range",
        "        moving.missing -= 1\n",
        "        moving.missing = 0\n",
    ),
    Mutant(
        "a range that failed is not sent again",
        "            moving.to_send.appendleft(index)\n",
        "            pass\n",
    ),
    Mutant(
        "a range that arrived changed is believed",
        " or digest_of(data) != part.digest:",
        ":",
    ),
    Mutant(
        "what was heard at a door is asked for again",
        "        self._number, self.position, self._fruitful = 0, position, said\n",
        "        self._number, self._fruitful = 0, said\n",
    ),
    Mutant(
        "a request that broke off at a door is made again at once",
        "        self._paused_until = now + min(longest, first * 2.0 ** min(self._failures, 30))\n",
        "        self._paused_until = now\n",
    ),
)


def place(texts: dict[Path, str], mutant: Mutant) -> Path:
    """Return the file that has the place of a bug.

    Raises:
        LookupError: its place is not there, or not the only one.
    """
    found = [path for path, text in texts.items() for _ in range(text.count(mutant.old))]
    if len(found) != 1:
        raise LookupError(f"{mutant.name!r}: its place is there {len(found)} times")
    return found[0]


def sources(package: Path) -> dict[Path, str]:
    """Return the text of each file of a package, without comments: they may be changed freely."""
    return {path: _code(path.read_text()) for path in package.rglob("*.py")}


def _code(text: str) -> str:
    lines: list[str | None] = list(text.splitlines(keepends=True))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            before = token.line[: token.start[1]].rstrip()
            lines[token.start[0] - 1] = f"{before}\n" if before else None
    return "".join(line for line in lines if line is not None)


def mutate(package: Path, mutant: Mutant) -> None:
    """Put a bug into a copy of the package."""
    texts = sources(package)
    path = place(texts, mutant)
    path.write_text(texts[path].replace(mutant.old, mutant.new))


def findings(mutant: Mutant, begin_with: int) -> tuple[str, int]:
    """Return what the simulation finds in the mutant, and in which of the fixed runs.

    Args:
        begin_with: the number of the run that is made first.

    Returns:
        An empty text if it finds nothing; -1 if it was no run by itself, but all of them together
        did not take some path.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("hfexecutor", "tests"):
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        mutate(folder / "hfexecutor", mutant)
        fixed = ["--fixed", "--first-failure", "--no-shrink", "--begin-with", str(begin_with)]
        command = [sys.executable, "-m", "tests.simulation", *fixed]
        if mutant.test:
            shutil.copy(ROOT / "pyproject.toml", folder)
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", mutant.test]
        try:
            done = subprocess.run(
                ["sh", "-c", f'ulimit -v {MOST_MEMORY // 1024}; exec "$@"', "sh", *command],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"does not end in {LONGEST} s", -1
    if done.returncode == 0:
        return "", -1
    marks = ("FAILED",) if mutant.test else ("WRONG", "NOT TAKEN", "Error")
    lines = [line for line in done.stdout.splitlines() if any(mark in line for mark in marks)]
    said = lines[0][:300] if lines else f"exit code {done.returncode}: {done.stderr[-300:]}"
    run = re.match(r"run (\d+): ", said)
    return said, int(run[1]) if run else -1


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    texts = sources(ROOT / "hfexecutor")
    for mutant in chosen:
        place(texts, mutant)
    begun = time.monotonic()
    missed = 0
    found_by: dict[str, str] = json.loads(FOUND_BY.read_text()) if FOUND_BY.exists() else {}
    numbers = {str(plan): number for number, plan in enumerate(FIXED)}
    first = [numbers.get(found_by.get(mutant.name, ""), 0) for mutant in chosen]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, (said, run) in zip(chosen, pool.map(findings, chosen, first), strict=True):
            missed += not said
            print(f"{'found ' if said else 'MISSED'} {mutant.name}: {said}", flush=True)
            if run >= 0:
                found_by[mutant.name] = str(FIXED[run])
                FOUND_BY.write_text(json.dumps(found_by, indent=1, sort_keys=True) + "\n")
    seconds = time.monotonic() - begun
    print(f"{len(chosen) - missed} of {len(chosen)} mutants found in {seconds:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
