"""States of a worker.

STARTING ──► READY ◄──► BUSY            the first load, as often as it is lost; then idle or running a job
    │          ▲          │
    ▼          └─ RESTARTING ◄── ...    the process was lost and a new one loads; jobs may queue
  FAILED                                the load raised; stays so, with a reason, until the service is restarted
STOPPED                                 from any of them, when the worker is told to stop
"""

from __future__ import annotations

from enum import StrEnum


class WorkerState(StrEnum):
    """State of a worker, as the drawing in the module's docstring shows."""

    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def loaded(self) -> bool:
        """Whether a loaded engine process exists that has not been found dead."""
        return self in (WorkerState.READY, WorkerState.BUSY)

    @property
    def final(self) -> bool:
        """Whether no further job can run. FAILED can only become STOPPED, and STOPPED never changes."""
        return self in (WorkerState.FAILED, WorkerState.STOPPED)


# Losses in a row after which the machine counts as broken. A photo can cause one loss, and two if its sender tries
# again. The third points to a GPU or driver that a new process does not repair, but perhaps a new container does.
MAX_LOSSES_IN_A_ROW = 3
