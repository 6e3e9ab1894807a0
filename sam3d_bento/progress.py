"""How a long step tells that it is alive, and learns that nobody wants its result any more."""

from collections.abc import Callable

# Called with the finished share of the current step, 0..1, and often enough that a cancelled run
# ends soon: it raises `errors.Cancelled`, which a step lets pass.
Tick = Callable[[float], None]


def silent(fraction: float) -> None:
    """The `Tick` of a caller that does not watch."""


def part(tick: Tick, start: float, end: float) -> Tick:
    """The `Tick` of a sub-step that covers `start`..`end` of the step that `tick` watches."""
    return lambda fraction: tick(start + (end - start) * fraction)
