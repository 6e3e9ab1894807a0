"""One job's run in the engine process, in a directory of its own."""

from __future__ import annotations

import logging
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

from sam3d_bento.errors import DeadlineExceeded, EngineLost, Sam3DError, StorageFull
from sam3d_bento.serving import shortage
from sam3d_bento.serving.worker.engine_process import EngineProcess, Waker, converse
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import RECONSTRUCTION_NAME, Done, RunJob
from sam3d_bento.serving.worker.workdir import WorkDir

# Outcomes that cost the process: it hangs, is dead, or said itself that it can no longer be trusted.
LOSSES = (DeadlineExceeded, EngineLost)

log = logging.getLogger("sam3d_bento.run")


def run(
    engine: EngineProcess,
    job: Job,
    workdir: WorkDir,
    deadline_seconds: float,
    waker: Waker,
    interruption: Callable[[], Sam3DError | None],
) -> Done | Sam3DError:
    """Run the job to its end; how it ended. deadline_seconds, waker, interruption: as in `engine_process.converse`.

    Afterwards the job's directory and its submission are gone; `job.reconstruction` is there if one was asked for and
    saved. After one of LOSSES the process is dead. StorageFull, and not a word to the process, when the directory
    cannot be made.
    """
    assert job.submission is not None
    try:
        with workdir.job_directory(job.id) as directory:
            task = RunJob(job.id, job.submission, directory, job.keep_reconstruction, job.label)
            outcome = converse(engine.pipe, task, job, deadline_seconds, waker, interruption)
            if isinstance(outcome, LOSSES):
                engine.kill()  # it may still write: it ends before its directory goes
            elif isinstance(outcome, Done):
                _hand_over(directory / RECONSTRUCTION_NAME, job, workdir)
            return outcome
    except OSError as exc:
        log.error("no directory for job %s", job.id, exc_info=not shortage.is_shortage(exc))
        return StorageFull(f"The server cannot store the job's files ({exc.strerror}).")
    finally:
        job.submission = None  # an upload never outlives its processing


def _hand_over(saved: Path, job: Job, workdir: WorkDir) -> None:
    """Move the saved reconstruction out of the job's directory, which is removed, and give it to the job."""
    kept = workdir.path / f"{job.id}.npz"
    try:
        if not stat.S_ISREG(saved.lstat().st_mode):  # a link of the engine's could lead to any file of ours
            return
        saved.replace(kept)
    except FileNotFoundError:  # it was not asked for, or could not be saved
        return
    job.reconstruction = kept
    weakref.finalize(job, kept.unlink, missing_ok=True)  # however the job ends, no file outlives it
