"""How long runs take, learnt from past ones: where a run stands, and how long it and those behind it will take yet."""

from __future__ import annotations

from collections.abc import Mapping

from sam3d_bento.submission import STAGES, Stage

# The share of a new run in the running means.
MEAN_WEIGHT = 0.3
# Before the first run is through: shares of a run, so that its bar moves, and seconds for Retry-After.
FIRST_SHARES: dict[Stage, float] = {"decode": 0.02, "mask": 0.08, "reconstruct": 0.5, "export": 0.4}
FIRST_GUESS_SECONDS = 10.0


class RunTimes:
    """Running means of the seconds of each stage. Written by one thread; any may read."""

    def __init__(self) -> None:
        self._seconds = {stage: share * FIRST_GUESS_SECONDS for stage, share in FIRST_SHARES.items()}
        self.known = False

    @property
    def run_seconds(self) -> float:
        """A whole run's seconds; a guess until one is `known`."""
        return sum(self._seconds.values())

    def learn(self, seconds: Mapping[str, float]) -> None:
        """Take in the stages of a run that succeeded. One that is not there took no time."""
        weight = MEAN_WEIGHT if self.known else 1.0
        mean = self._seconds
        self._seconds = {stage: mean[stage] + weight * (seconds.get(stage, 0.0) - mean[stage]) for stage in STAGES}
        self.known = True

    def fraction(self, stage: Stage, stage_fraction: float) -> float:
        """The finished share of a whole run that stands there, 0..1."""
        seconds = self._seconds
        before = sum(seconds[earlier] for earlier in STAGES[: STAGES.index(stage)])
        return min((before + stage_fraction * seconds[stage]) / max(self.run_seconds, 1e-9), 1.0)

    def remaining(self, fraction: float, runs_before: int = 0, fraction_before: float = 0.0) -> float | None:
        """Seconds until a run at `fraction` ends; None until a run is known.

        runs_before: that have to end first, the first of which is at `fraction_before`.
        """
        if not self.known:
            return None
        return self.run_seconds * (1 - fraction + max(runs_before - fraction_before, 0.0))
