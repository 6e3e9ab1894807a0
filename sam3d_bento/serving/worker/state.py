"""Where a worker stands.

STARTING ──► READY ◄──► BUSY            the first load, as often as it is lost; then idle or running a job
    │          ▲          │
    ▼          └─ RESTARTING ◄── ...    the process was lost and a new one loads; jobs may queue
  FAILED                                the load raised; stays so, with a reason, until the service is restarted
STOPPED                                 from any of them, when the worker is told to stop
"""

from __future__ import annotations

from enum import StrEnum


class WorkerState(StrEnum):
    """See the module's docstring."""

    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def loaded(self) -> bool:
        """Whether there is an engine process that has loaded and lives, as far as is known."""
        return self in (WorkerState.READY, WorkerState.BUSY)

    @property
    def final(self) -> bool:
        """Whether no job runs any more. FAILED is left for STOPPED alone, STOPPED never."""
        return self in (WorkerState.FAILED, WorkerState.STOPPED)


# One loss may be a photo's fault, and so may two, when its sender tries again. The third in a row is the machine's: a
# GPU or driver that a new process does not mend, where a new container, perhaps on another machine, may.
MOST_LOSSES = 3
