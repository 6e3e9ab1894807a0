"""How a long step tells that it is alive, and learns that nobody wants its result any more."""

from collections.abc import Callable

# Called with the finished share of the current step, 0..1, and often enough that a cancelled run
# ends soon: it raises `errors.Cancelled`, which a step lets pass.
OnProgress = Callable[[float], None]


def silent(fraction: float) -> None:
    """The `OnProgress` of a caller that does not watch."""


def part(on_progress: OnProgress, start: float, end: float) -> OnProgress:
    """The `OnProgress` of a sub-step that covers `start`..`end` of the step that `on_progress` watches."""
    return lambda fraction: on_progress(start + (end - start) * fraction)
