"""Callbacks by which a long step reports its progress and learns that it is cancelled."""

from collections.abc import Callable

# A step calls this with the finished share of the step, 0..1. It calls often enough that a cancelled run ends soon: the
# callback then raises `errors.Cancelled`, which the step does not catch.
OnProgress = Callable[[float], None]


def silent(fraction: float) -> None:
    """Ignore the progress: the `OnProgress` of a caller that does not need it."""


def part(on_progress: OnProgress, start: float, end: float) -> OnProgress:
    """Return the `OnProgress` of a sub-step that covers `start`..`end` of the step reported to `on_progress`."""
    return lambda fraction: on_progress(start + (end - start) * fraction)
