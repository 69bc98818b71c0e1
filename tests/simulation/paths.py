"""The seeds that are run each time, and the rare paths that they have to take."""

from __future__ import annotations

from .plan import Plan

# What the simulation has found in the cores, each in a world that has little else.
FOUND = {
    "one refused port after the first job without one fails everything": Plan(
        seed=62, calls=600, workers=58, cold=(0.0, 0.1), retries=1, refuses_ports=True
    ),
    "a log that goes on after its job, and is read again, is read for ever": Plan(
        seed=766, calls=30, workers=3, warm=False, log_endless=1.0, job_killed=0.5, heals=300.0
    ),
    "a recall of what runs is repeated for ever": Plan(
        seed=3, calls=300, durations=(0.05,), log_stall=1.0, workers=4, heals=300.0
    ),
    "a suspect gets company where another worker's share stops before it": Plan(
        seed=900,
        calls=900,
        batch=1000,
        slots=2,
        workers=16,
        job_killed=0.6,
        kill_after=1.0,
        durations=(0.0, 0.02, 0.3),
        retries=5,
    ),
    "a process that is let go can be killed no more": Plan(
        seed=901, calls=100, durations=(0.0, 0.3), needs=5, hanging=0.1, call_timeout=0.5
    ),
    "what no idle process can run is given and taken back for ever": Plan(
        seed=1, calls=200, durations=(0.0, 0.3), needs=5, workers=8, slots=4
    ),
    "a job spins that could not fork and has nothing to do any more": Plan(
        seed=80, calls=20, workers=4, slots=2, fork_fails=0.4, durations=(0.2,)
    ),
    "a call of which the worker has a part counts as tried when that is lost": Plan(
        seed=26,
        calls=60,
        batch=60,
        workers=4,
        heavy=0.3,
        retries=0,
        job_killed=0.6,
        kill_after=2.0,
        durations=(0.02,),
        door_lost=0.3,
    ),
    "a job that is started again takes calls without what was sent before": Plan(
        seed=9,
        calls=300,
        functions=50,
        workers=4,
        durations=(0.02,),
        job_restarted=0.5,
        kill_after=0.5,
        log_lag=1.0,
        heals=60.0,
    ),
    "each list of the last look has a job cancelled that lists show for long": Plan(
        seed=1, calls=20, workers=20, cold=(5.0, 8.0), post_page=0.1, stage_lag=1.3
    ),
    "a large outcome that is fetched no more is due for ever": Plan(
        seed=0,
        calls=60,
        workers=4,
        large=0.5,
        durations=(0.1,),
        door_dropped=0.4,
        door_unanswered=0.4,
        door_outage=0.2,
        rtt=0.0005,
    ),
    "of two jobs of a launch that was under way at the end one is left": Plan(
        seed=57,
        calls=20,
        workers=4,
        durations=(3.0,),
        cold=(0.0, 0.1),
        post_late=0.6,
        post_twice=0.5,
        job_killed=0.8,
        kill_after=0.5,
        end="abort",
        end_early=True,
    ),
    "jobs that may have a call are stopped until it may not run again": Plan(
        seed=57, calls=60, durations=(0.1,), door_forged=0.3, heals=30.0
    ),
    "a flavor that did not come is not waited for although no other one can be paid": Plan(
        seed=1,
        calls=60,
        durations=(3.0,),
        workers=1,
        choices=((0, 1),),
        capacities=(0, -1, -1),
        scheduling_timeout=20.0,
        max_cost=0.035,
    ),
    "a job that was cancelled while it waited fails its call, if nobody heard of the cancel": Plan(
        seed=693198,
        calls=1,
        durations=(0.0,),
        workers=1,
        raising=0.03,
        large=0.1,
        api=0.3,
        choices=((1, 0), (0, 1, 2), (2,)),
        scheduling_timeout=3.0,
        post_twice=0.4,
        never_comes=1.0,
        list_slow=3.0,
        cancel_fails=0.2,
        foreign=0.03,
    ),
    "the log of a job that has ended is read ten times a second while no list says so": Plan(
        seed=66,
        calls=8,
        durations=(5.0,),
        workers=8,
        job_killed=1.0,
        kill_after=2.0,
        list_dies=1.0,
        heals=300.0,
    ),
}

FOUND["what was handed ahead is taken back for slots beside a suspect, over and over"] = Plan.of(
    90010
).with_changes(
    ["calls=163", "durations=(0.3,)", "retries=2", "flaky=0.1", "retry=True", "straggling=0.1"]
)
FOUND["a job that the end has stopped is stopped once more by the late answer of its launch"] = (
    Plan.of(2450553823).with_changes(["slots=1"])
)

FIXED: tuple[Plan, ...] = (
    *FOUND.values(),
    # What chance brings too seldom.
    Plan(seed=1, calls=2000, batch=2000, log_cut=1.0, log_window=5, printing=0.4, retries=5),
    Plan(seed=2, calls=200, durations=(0.1,), log_cut=1.0, log_window=5, printing=0.4, retries=5),
    Plan(seed=4, calls=60, durations=(3.0,), kills=0.3, cancels=0.3, workers=4),
    # What is cancelled while its job comes up begins all the same, if others are aboard.
    Plan(seed=50048, calls=3, durations=(0.3,), workers=3, slots=4, kills=0.2),
    Plan(seed=53, calls=30, durations=(40.0,), kills=0.6, workers=4),
    Plan(seed=5, calls=400, durations=(0.0, 0.0, 0.0, 3.0), cancels=0.2, workers=3, rtt=0.105),
    Plan(
        seed=6, calls=40, durations=(0.3,), forgets=1.0, job_killed=0.4, kill_after=20.0, workers=4
    ),
    Plan(seed=7, calls=40, durations=(0.3,), job_killed=1.0, kill_after=5.0, workers=4, retries=0),
    *(
        Plan(
            seed=seed,
            calls=5,
            durations=(0.0, 7.0),
            workers=4,
            cold=(0.0, 0.1),
            list_lag=10.0,
            inspect_fails=1.0,
            door_at="launch",
        )
        for seed in range(10, 16)
    ),
    *(Plan(seed=seed, calls=3000, batch=300, pause=0.01, cancels=0.5) for seed in (16, 17)),
    *(
        Plan(
            seed=seed,
            calls=300,
            durations=(0.01,),
            workers=6,
            retries=0,
            door_unanswered=0.3,
            door_rejects=0.1,
        )
        for seed in range(18, 24)
    ),
    *(
        Plan(
            seed=seed,
            calls=400,
            batch=10,
            pause=0.02,
            durations=(0.01,),
            workers=6,
            retries=0,
            door_hangs=0.3,
            job_killed=0.6,
        )
        for seed in range(24, 28)
    ),
    *(
        Plan(
            seed=seed,
            calls=100,
            retries=0,
            refuses_ports=True,
            large=0.5,
            printing=0.5,
            log_cut=1.0,
            log_window=5,
            heals=300.0,
        )
        for seed in range(28, 32)
    ),
    *(
        Plan(seed=seed, calls=40, workers=6, warm=False, retries=0, post_unclear=0.4, list_lag=10.0)
        for seed in range(32, 36)
    ),
    *(
        Plan(
            seed=seed,
            calls=20,
            durations=(30.0,),
            cold=(0.0, 0.05),
            workers=4,
            end="abort",
            end_early=True,
        )
        for seed in range(40, 46)
    ),
    Plan(
        seed=46,
        calls=40,
        durations=(30.0,),
        cold=(0.0, 0.05),
        workers=4,
        cancel_fails=0.7,
        terminates=0.5,
        end="abort",
        end_early=True,
    ),
    Plan(seed=48, calls=40, durations=(20.0,), workers=4, max_cost=0.08),
    Plan(seed=49, calls=40, durations=(20.0,), workers=4, max_cost=0.08, retries=0, slots=2),
    # Jobs are replaced before they reach their timeout: no call may be lost, and none runs twice.
    Plan(
        seed=53,
        calls=80,
        durations=(0.5, 2.5),
        workers=4,
        call_timeout=3.0,
        job_timeout=30.0,
        retries=0,
    ),
    Plan(
        seed=54,
        calls=600,
        batch=600,
        durations=(0.1, 1.9),
        workers=16,
        slots=4,
        call_timeout=3.0,
        job_timeout=30.0,
        retries=0,
    ),
    # Several flavors: hardware that does not come, is refused, is dear, or is in others' way.
    Plan(
        seed=60,
        calls=40,
        durations=(0.3,),
        workers=4,
        choices=((0, 1),),
        capacities=(0, -1, -1),
        scheduling_timeout=20.0,
    ),
    Plan(
        seed=61,
        calls=60,
        durations=(1.0,),
        workers=3,
        choices=((0, 1, 2),),
        capacities=(1, 0, -1),
        scheduling_timeout=3.0,
        post_refused=0.3,
    ),
    Plan(seed=62, calls=60, durations=(3.0,), workers=2, choices=((0,), (1,), (2,))),
    # Calls that are to begin only once, aboard of jobs that do not come.
    Plan(
        seed=5016,
        calls=17,
        durations=(0.02,),
        workers=34,
        warm=False,
        retries=0,
        choices=((0, 1),),
        capacities=(1, 2, -1),
        scheduling_timeout=3.0,
    ),
    Plan(
        seed=63,
        calls=60,
        durations=(2.0,),
        workers=6,
        choices=((0, 1), (1,), (2,)),
        capacities=(1, 2, 1),
        scheduling_timeout=3.0,
        max_cost=0.2,
    ),
    Plan(
        seed=64,
        calls=60,
        durations=(0.1,),
        workers=4,
        choices=((0, 1, 2), (1, 0), (2,)),
        memory=0.3,
        grow=True,
        retries=0,
    ),
    Plan(seed=47, calls=3, cancel_fails=1.0, job_restarted=1.0, durations=(1.0,), heals=300.0),
    Plan(seed=38, calls=150, durations=(4.0,), workers=2, warm=False),
    Plan(seed=39, calls=100, batch=5, pause=0.3, durations=(0.3,), workers=4, list_lag=3.0),
    Plan(seed=8, calls=2000, batch=2000, durations=(0.001,), workers=4),
    Plan(
        seed=300,
        calls=8,
        durations=(0.0, 7.0),
        workers=4,
        kills=0.3,
        cold=(0.0, 3.0),
        list_lag=10.0,
        log_none=1.0,
        door_at="launch",
        heals=300.0,
    ),
    Plan(seed=52, calls=60, durations=(0.1,), printing=1.0, mimics=0.5),
    # Outcomes that nobody acknowledges, in a log that is written full meanwhile.
    Plan(
        seed=55,
        calls=400,
        batch=400,
        durations=(0.05,),
        workers=1,
        refuses_ports=True,
        printing=1.0,
    ),
    # Jobs that end unseen: no log tells of it, and no list, as the Hub has forgotten them by then.
    Plan(
        seed=56,
        calls=40,
        durations=(3.0,),
        workers=4,
        cold=(0.0, 0.1),
        forgets=1.0,
        job_killed=0.6,
        kill_after=20.0,
        log_endless=1.0,
        heals=300.0,
    ),
    # Large arguments: lost, changed, arriving twice, forgotten, in jobs that die.
    Plan(
        seed=57,
        calls=150,
        workers=4,
        slots=2,
        durations=(0.0, 0.05),
        buffers=12,
        range_corrupt=0.1,
        door_lost=0.1,
        door_twice=0.3,
        job_killed=0.2,
    ),
    Plan(seed=58, calls=60, workers=2, durations=(0.05,), buffers=12, no_memory=0.3, kills=0.2),
    # The big end.
    Plan(
        seed=50,
        calls=2000,
        batch=2000,
        workers=1000,
        durations=(1.0,),
        job_killed=0.05,
        post_unclear=0.02,
        log_cut=0.05,
    ),
    Plan(seed=51, calls=10_000, batch=10_000, workers=8, door_unanswered=0.05, log_cut=0.1),
    *sorted((Plan.of(seed) for seed in range(200)), key=lambda plan: plan.calls)[:-4],
    # What has raised runs again, after a pause, as often as it may: with jobs that are lost, too.
    Plan(seed=57, calls=200, batch=200, workers=6, durations=(0.01, 0.3), flaky=0.5, retry=True),
    Plan(seed=58, calls=60, durations=(0.1,), flaky=0.7, retry=True, raising=0.2),
    Plan(
        seed=59,
        calls=90,
        workers=4,
        slots=2,
        durations=(0.01, 0.5),
        flaky=0.6,
        retry=True,
        once=0.3,
        job_killed=0.5,
        kill_after=2.0,
        log_cut=0.4,
        kills=0.1,
        printing=0.3,
        retries=3,
    ),
    # A run's list is asked for seldom, and fails for good more seldom still.
    *(
        Plan(seed=seed, calls=40, durations=(3.0,), workers=4, cold=(5.0, 8.0), list_dies=0.4)
        for seed in (65, 66)
    ),
    # Calls that take far longer than others have a backup.
    Plan(
        seed=63, calls=60, batch=60, workers=6, durations=(0.3, 3.0), straggling=0.1, speculate=True
    ),
    Plan(
        seed=64,
        calls=120,
        batch=120,
        workers=8,
        slots=2,
        durations=(0.3, 14.0),
        straggling=0.1,
        speculate=True,
        flaky=0.1,
        retry=True,
        once=0.1,
        kills=0.05,
        job_killed=0.4,
        kill_after=20.0,
        printing=0.3,
        log_lag=0.5,
        max_cost=0.2,
    ),
    # No door, and arguments that a bucket has for it, or is to have.
    Plan(
        seed=71,
        calls=80,
        workers=3,
        warm=False,
        buffers=12,
        bucket=True,
        store_fails=0.1,
        store_slow=5.0,
        job_killed=0.1,
        cancels=0.2,
    ),
    Plan(seed=72, calls=40, workers=2, slots=2, refuses_ports=True, buffers=3, bucket=True),
    Plan(seed=60, calls=60, workers=4, warm=False, flaky=0.6, retry=True, once=0.2, post_late=0.3),
)

# What rare paths have to be taken by the fixed seeds. One that is not tests nothing any more.
PATHS = (
    "a buffer cannot be stored",
    "a buffer is stored",
    "a call is killed through the door",
    "a call is lost",
    "a backup begins",
    "of two attempts the backup has the outcome",
    "of two attempts the first has the outcome",
    "a call runs again",
    "a call that has raised is retried",
    "a retry begins in another job",
    "a retry begins in the same job",
    "what a call has raised is not to be retried",
    "a call that was killed for memory runs on a larger flavor",
    "a cancel comes too late",
    "a cancel crosses a start",
    "a cancel fails",
    "a door is given up",
    "a foreign job is left alone",
    "a job ends before its first word",
    "a job is cancelled that had begun without our knowing",
    "a job is killed",
    "a job that does not begin is cancelled",
    "a job that is nobody's is cancelled",
    "a job that was started again is cancelled",
    "a job waits for capacity",
    "a large outcome is fetched",
    "a late kill",
    "a launch fails while others work",
    "a launch hangs",
    "a launch is answered late",
    "a launch is answered with an error although the job was created",
    "a launch is dropped before its request is sent",
    "a launch is found while its answer is late",
    "a launch is repeated",
    "a job makes way for another flavor",
    "a log goes on after its job",
    "a log is cut",
    "a log is opened again for want of a HELLO",
    "a log shows nothing",
    "a log stalls",
    "a message arrives twice",
    "a message hangs",
    "a new address is not known yet",
    "a range is not fetched",
    "a port cannot be opened",
    "a reading replays less than was there",
    "a recall brings calls back",
    "a recall crosses a start",
    "a second job is cancelled",
    "a window hides the head of a log",
    "a worker does not leave when told to",
    "all doors are away",
    "a call ends because of what it would cost",
    "a job is ended because of what it would cost",
    "a job gets no more calls because of its age",
    "a job is terminated and says good-bye",
    "a job reaches its timeout",
    "a list fails for good",
    "an answer is forged",
    "a frame is forged",
    "hardware never comes",
    "the user gives up waiting for hardware",
    "an outcome comes only by being asked for again",
    "an outcome is found by reading a log again",
    "an outcome comes before its line of the log",
    "a request that stands breaks off",
    "calls of a lost worker run again",
    "doors are given up",
    "frames are missed",
    "hardware does not come",
    "lines come twice",
    "many calls travel together",
    "a job has no room for a buffer",
    "a range arrives changed",
    "a range does not arrive",
    "a worker is told to forget buffers",
    "ports are given up",
    "the Hub does not know a job any more",
    "the Hub starts a job again",
    "the next flavor is tried",
    "the next flavor is tried for one that is refused",
    "the next flavor of a list is launched",
    "a wait for hardware is told",
    "two jobs for one launch",
)
