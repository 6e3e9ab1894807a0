"""Mean duration of runs, to estimate a run's progress and the time until it and the waiting jobs end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sam3d_bento.submission import STAGES, ObjectProgress, Stage

# Weight of a new run in the running means.
MEAN_WEIGHT = 0.3
# Share of each stage in a run before the first run has ended, so that its progress bar moves.
FIRST_SHARES: dict[Stage, float] = {"decode": 0.02, "mask": 0.08, "reconstruct": 0.5, "export": 0.4}
# Duration of a run before the first run has ended, for Retry-After.
FIRST_GUESS_SECONDS = 10.0


class RunTimes:
    """Running means of the seconds of each stage. One thread writes, any thread may read.

    overlaps: whether each run is exported beside the next one.
    """

    def __init__(self) -> None:
        self._seconds = {stage: share * FIRST_GUESS_SECONDS for stage, share in FIRST_SHARES.items()}
        self.known = False
        self.overlaps = False

    @property
    def run_seconds(self) -> float:
        """Mean duration of a run; a guess until `known` is true."""
        return sum(self._seconds.values())

    @property
    def turn_seconds(self) -> float:
        """Mean time from the end of one run to the end of the next, if one always waits."""
        export = self._seconds["export"]
        return max(export, self.run_seconds - export) if self.overlaps else self.run_seconds

    def learn(self, seconds: Mapping[str, float], objects: int = 1) -> None:
        """Add the stages of a successful run to the means. A missing stage counts as 0 seconds.

        objects: their number in a scene, each of which counts as a run.
        """
        weight = MEAN_WEIGHT if self.known else 1.0
        mean = self._seconds
        self._seconds = {
            stage: mean[stage] + weight * (seconds.get(stage, 0.0) / objects - mean[stage]) for stage in STAGES
        }
        self.known = True

    def fraction(self, stage: Stage, stage_fraction: float) -> float:
        """Return the finished share of the whole run, 0..1, from the finished share of its stage."""
        seconds = self._seconds
        before = sum(seconds[earlier] for earlier in STAGES[: STAGES.index(stage)])
        return min((before + stage_fraction * seconds[stage]) / max(self.run_seconds, 1e-9), 1.0)

    def fraction_of_objects(self, objects: Sequence[ObjectProgress]) -> float:
        """Return the finished share of the run of a scene, 0..1: the mean of those of its objects."""
        begun = self.fraction("reconstruct", 0.0)  # what comes before is done for all objects at once
        return sum(max(begun, self.fraction_of_object(each)) for each in objects) / len(objects)

    def fraction_of_object(self, each: ObjectProgress) -> float:
        """Return the finished share of an object of a scene, 0..1."""
        if each.state == "waiting":
            return 0.0
        return 1.0 if each.state in ("done", "failed") else self.fraction(each.stage, each.stage_fraction)

    def remaining(self, fraction: float, runs_before: int = 0, fraction_before: float = 0.0) -> float | None:
        """Return the seconds until a run at `fraction` ends; None until `known` is true.

        runs_before: number of runs that must end first. fraction_before: finished share of the first of them.
        """
        if not self.known:
            return None
        return self.run_seconds * (1 - fraction) + self.turn_seconds * max(runs_before - fraction_before, 0.0)
