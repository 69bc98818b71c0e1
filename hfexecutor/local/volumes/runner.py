"""Has the volumes of a job ready when it starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hfexecutor.local.runners import Answer, Launch, Runner, Running

    from .attaching import Attached, Volumes


class WithVolumes:
    """A runner that has the volumes of its jobs ready when another runner starts them.

    Args:
        runner: the other one.
        volumes: returns what can be mounted; asked for the first job that wants any.
    """

    def __init__(self, runner: Runner, volumes: Callable[[], Volumes]) -> None:
        self._runner = runner
        self._volumes = volumes

    async def start(self, launch: Launch, write: Callable[[bytes], None]) -> Running:
        """Start an attempt."""
        if not launch.volumes:
            return await self._runner.start(launch, write)

        def say(text: str) -> None:
            write(f"===== LocalHub: {text} =====\n".encode())

        attached = await self._volumes().attach(launch, say)
        try:
            launch = replace(launch, mounts=attached.mounts)
            return _RunningWithVolumes(await self._runner.start(launch, write), attached)
        except BaseException:
            await attached.release()
            raise

    async def close(self) -> None:
        """End everything that was started."""
        await self._runner.close()


class _RunningWithVolumes:
    """An attempt that is not over before its last writes are in the buckets."""

    def __init__(self, running: Running, attached: Attached) -> None:
        self._running = running
        self._attached = attached

    @property
    def pids(self) -> tuple[int, ...]:
        return self._running.pids

    @property
    def doors(self) -> Mapping[int, Answer]:
        return self._running.doors

    async def wait(self) -> int:
        try:
            return await self._running.wait()
        finally:
            await self._attached.release()

    def kill(self) -> None:
        self._running.kill()
