"""Run one job in the engine process, with its own directory."""

from __future__ import annotations

import logging
import stat
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sam3d_bento.errors import DeadlineExceeded, EngineLost, Sam3DError, StorageFull
from sam3d_bento.serving import shortage
from sam3d_bento.serving.worker.engine_process import EngineProcess, Waker, converse
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import RECONSTRUCTION_NAME, Done, HandedOver, RunJob
from sam3d_bento.serving.worker.shared_memory import SharedMemory
from sam3d_bento.serving.worker.workdir import WorkDir

# Outcomes after which the process must be replaced: it hangs, is dead, or has reported that it is unusable.
LOSSES = (DeadlineExceeded, EngineLost)

# Folder in a job's directory for the finished objects of a scene.
FINISHED_NAME = "objects"

log = logging.getLogger("sam3d_bento.run")


def run(
    engine: EngineProcess,
    job: Job,
    workdir: WorkDir,
    deadline_seconds: float,
    waker: Waker,
    interruption: Callable[[], Sam3DError | None],
    *,
    hands_over: bool = False,
) -> Done | HandedOver | Sam3DError:
    """Run the job and return its outcome. deadline_seconds, waker, interruption: as in `engine_process.converse`.

    hands_over: whether another process exports. `job.memory` is then its input, if the outcome is HandedOver.

    Afterwards the job's directory and submission are removed, unless `job.goes_on`: another run then finds the finished
    objects of its scene there. Otherwise `job.reconstruction` is set if the reconstruction was
    to be kept and could be saved. After one of LOSSES the process has been killed. If the directory cannot be created,
    the outcome is StorageFull, and nothing is sent to the process.
    """
    outcome: Done | HandedOver | Sam3DError | None = None
    job.goes_on = False
    try:
        if hands_over:
            job.memory = SharedMemory()
        assert job.submission is not None or job.memory is not None
        memory = None if job.memory is None else job.memory.descriptor
        with workdir.job_directory(job.id, stays=lambda: job.goes_on) as directory:
            submission = _with_finished_objects(job, directory)
            task = RunJob(job.id, submission, directory, job.keep_reconstruction, job.label, memory)
            outcome = converse(engine.pipe, task, job, deadline_seconds, waker, interruption)
            if isinstance(outcome, LOSSES):
                engine.kill()  # the process may still write to the directory, which is removed next
                job.go_on_without_lost_object(outcome)
            elif isinstance(outcome, Done):
                _hand_over(directory / RECONSTRUCTION_NAME, job, workdir)
            return outcome
    except OSError as exc:
        log.error("the directory of job %s cannot be created", job.id, exc_info=not shortage.is_shortage(exc))
        outcome = StorageFull(f"The server cannot store the job's files ({exc.strerror}).")
        return outcome
    finally:
        if not job.goes_on:
            job.submission = None  # frees the upload
        if job.memory is not None and not isinstance(outcome, HandedOver):
            job.memory.close()
            job.memory = None


def _with_finished_objects(job: Job, directory: Path) -> Any:
    """Return the job's submission; of a scene with the folder for finished objects, and with those that were lost."""
    scene = getattr(job.submission, "scene", None)
    if scene is None:
        return job.submission
    return replace(job.submission, scene=replace(scene, finished=directory / FINISHED_NAME, lost=job.lost))


def _hand_over(saved: Path, job: Job, workdir: WorkDir) -> None:
    """Move the saved reconstruction out of the job's directory, and set `job.reconstruction`."""
    kept = workdir.path / f"{job.id}.npz"
    try:
        if not stat.S_ISREG(saved.lstat().st_mode):  # a symbolic link could lead to any file of the service
            return
        saved.replace(kept)
    except FileNotFoundError:  # it was not to be kept, or could not be saved
        return
    job.reconstruction = kept
    weakref.finalize(job, kept.unlink, missing_ok=True)  # removes the file at the latest with the job
