"""Seconds and memory of a run on a GPU, stage by stage."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


class Meter:
    """Seconds, and bytes allocated and reserved by torch at most, of one stage after the other."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._open: tuple[str, float] | None = None

    def enter(self, stage: str, place: Callable[[], None] = lambda: None) -> None:
        """Close the stage before, and begin this one. place: puts its weights in place; counts as its time."""
        import torch

        self.close()
        started = time.perf_counter()
        place()
        torch.cuda.reset_peak_memory_stats()
        self._open = stage, started

    def close(self) -> None:
        """The last stage ends."""
        import torch

        if self._open is None:
            return
        torch.cuda.synchronize()
        stage, started = self._open
        self.stages[stage] = {
            "seconds": round(time.perf_counter() - started, 3),
            "peak_bytes": torch.cuda.max_memory_allocated(),
            "reserved_bytes": torch.cuda.max_memory_reserved(),
        }
        self._open = None


def limit(cap: float | None) -> None:
    """Let torch have `cap` bytes less what is on the GPU beside its own: context, kernels, other processes."""
    import torch

    if cap is not None:
        free, total = torch.cuda.mem_get_info()
        beside = total - free - torch.cuda.memory_reserved()
        torch.cuda.set_per_process_memory_fraction((cap - beside) / total)


def measured(run: Callable[[], tuple[int, int]], meter: Meter) -> dict:
    """What came of a run, its seconds and its stages. run: gives the numbers of voxels and faces."""
    from sam3d_bento.engines.sam3d import faults

    started = time.perf_counter()
    try:
        voxels, faces = run()
        outcome = {"outcome": "done", "voxels": voxels, "faces": faces}
    except RuntimeError as exc:
        if not faults.is_out_of_memory(exc):
            raise
        outcome = {"outcome": f"out of memory: {str(exc).splitlines()[0]}"}
    finally:
        meter.close()
    return outcome | {"seconds": round(time.perf_counter() - started, 2), "stages": meter.stages}


def together(runs: list[dict]) -> dict:
    """Of runs of one kind: medians of the seconds, all of them in order, and the most memory. The first one's counts.

    Of runs that did not all end well, the first that did not.
    """
    failed = next((run for run in runs if run["outcome"] != "done"), None)
    if failed is not None or len(runs) == 1:
        return failed or runs[0]

    def of_stage(stage: str) -> dict:
        each = [run["stages"][stage] for run in runs]
        seconds = round(statistics.median(one["seconds"] for one in each), 3)
        return {"seconds": seconds} | {key: max(one[key] for one in each) for key in ("peak_bytes", "reserved_bytes")}

    seconds = sorted(run["seconds"] for run in runs)
    return runs[0] | {
        "seconds": statistics.median(seconds),
        "seconds_of_each": seconds,
        "stages": {stage: of_stage(stage) for stage in runs[0]["stages"]},
    }
