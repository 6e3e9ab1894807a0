"""Show how far a job is: its stage, its finished share, and the seconds that are left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.submission import ObjectProgress, OnStageProgress, Stage

# Share of a job after which its own pace says how long the rest takes.
MIN_FRACTION_FOR_PACE = 0.1


@dataclass(frozen=True)
class JobProgress:
    """Where a job stands. fraction: of the whole job, 0..1.

    stage: a stage of `submission.STAGES`, `queued`, or which objects of a scene run.

    seconds_left: None if no job has ended yet that would tell.
    """

    stage: str
    fraction: float
    seconds_left: float | None = None


OnJobProgress = Callable[[JobProgress], None]


def of_stages(run_times: RunTimes, on_progress: OnJobProgress) -> OnStageProgress:
    """Return an `OnStageProgress` that reports the share of the whole job, by what earlier jobs took."""

    def report(stage: Stage, fraction: float, objects: Sequence[ObjectProgress] = ()) -> None:
        if objects:
            whole = run_times.fraction_of_objects(objects)
            left = run_times.remaining(whole)
            on_progress(JobProgress(_of_scene(objects), whole, None if left is None else left * len(objects)))
            return
        whole = run_times.fraction(stage, fraction)
        on_progress(JobProgress(stage, whole, run_times.remaining(whole)))

    return report


def _of_scene(objects: Sequence[ObjectProgress]) -> str:
    """Return which objects of a scene are being run, for people."""
    running = [each.name for each in objects if each.state == "running"]
    ended = sum(each.state in ("done", "failed") for each in objects)
    return f"{ended} of {len(objects)} objects" + (f", {', '.join(running)}" if running else "")


@contextmanager
def bar(console: Console, label: str, *, quiet: bool = False) -> Iterator[OnJobProgress]:
    """Show a bar for one job while the block runs. Nothing is shown on what is not a terminal, or if `quiet`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TextColumn("{task.fields[stage]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as shown:
        task = shown.add_task(label, total=1.0, stage="", left="")
        started = time.monotonic()
        percent = -1

        def report(moment: JobProgress) -> None:
            nonlocal percent
            left = moment.seconds_left
            if left is None and moment.fraction >= MIN_FRACTION_FOR_PACE:
                left = (time.monotonic() - started) * (1 - moment.fraction) / moment.fraction
            text = "" if left is None else f"about {left:.0f} s left"
            moved, percent = round(100 * moment.fraction) != percent, round(100 * moment.fraction)
            shown.update(task, completed=moment.fraction, stage=moment.stage, left=text, refresh=moved)

        yield report
