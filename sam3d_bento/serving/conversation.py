"""The conversations with the engine process: the load that begins it, then one about each task.

Each begins with what is sent, and has one end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sam3d_bento.errors import DeadlineExceeded, EngineLost, Internal, NotReady, Sam3DError
from sam3d_bento.serving.job import Job
from sam3d_bento.serving.messages import Cancel, Done, Failed, LoadFailed, Progress, Ready, Start, Task
from sam3d_bento.serving.waker import Waker


def load(pipe: Any, start: Start, waker: Waker, stopped: Callable[[], bool]) -> Ready | Sam3DError | None:
    """Say what to load and wait for the end of it, however long it takes: Ready, or why it failed.

    None when nobody waits any more. waker: wakes when `stopped` has changed.
    """
    try:
        pipe.send(start)
        while not pipe.poll(0):
            waker.wait(pipe)
            if stopped():
                return None
        message = pipe.recv()
    except (EOFError, OSError):
        return NotReady("The engine process died while it was loading.")
    if isinstance(message, LoadFailed):
        return message.error
    return message if isinstance(message, Ready) else Internal("The engine process spoke out of turn.")


def converse(
    pipe: Any,
    task: Task,
    job: Job,
    deadline_seconds: float,
    waker: Waker,
    interruption: Callable[[], Sam3DError | None],
) -> Done | Sam3DError:
    """Send the task, keep the job's progress, pass its cancellation on; how the task ended.

    waker: wakes when `job` was cancelled or `interruption` has changed. interruption: why to leave now, if so.
    After DeadlineExceeded, EngineLost or an interruption the engine process may still be at work.
    """
    told = False
    until = time.monotonic() + deadline_seconds
    try:
        pipe.send(task)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return DeadlineExceeded(f"The run was stopped after {deadline_seconds:g} seconds.")
            waker.wait(pipe, left)
            if (reason := interruption()) is not None:
                return reason
            if job.cancelled.is_set() and not told:
                pipe.send(Cancel(job.id))
                told = True
            if not pipe.poll(0):
                continue
            message = pipe.recv()
            if message.job_id != job.id:
                return EngineLost("The engine answered for another job; it was restarted. Try again.")
            if isinstance(message, Progress):
                job.advance(message.stage, message.fraction)
            elif isinstance(message, Failed):
                return message.error
            else:
                assert isinstance(message, Done)
                return message
    except (EOFError, OSError):
        return EngineLost("The engine process died during the run and was restarted. Try again.")
