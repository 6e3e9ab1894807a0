"""Runners of a job in two processes. The photo says what each does: `nap:0|crash` is done by engine and exporter.

The exporter gets the photo's bytes through the job's shared memory.
"""

import os
import time

from sam3d_bento.submission import Asset, RunnerInfo, Submission
from tests.support.fake_runner import FakeRunner, obey


class SplitRunner(FakeRunner):
    """Engine's part of the work: what stands before the bar."""

    info = RunnerInfo("fake", "fake/1", "cpu", ("JPEG",), hands_over=True)

    def hand_over(self, submission, on_progress, memory, on_reconstruction=None):
        if b"|" not in submission.photo:  # a job that cannot be split
            return self.run(submission, on_progress, on_reconstruction)
        self.runs += 1
        verb, _, argument = submission.photo.decode().partition("|")[0].partition(":")
        on_progress("decode", 0.0)
        obey(verb, argument, lambda: on_progress("reconstruct", 0.5))
        on_progress("reconstruct", 1.0)
        memory.write(f"{os.getpid()} {self.runs} {on_reconstruction is not None:d} ".encode() + submission.photo)
        return None


class Exporter(FakeRunner):
    """Exporter's part of the work: what stands behind the bar."""

    info = RunnerInfo("export", "fake/1", "cpu", ())

    def run(self, memory, on_progress, on_reconstruction=None):
        engine, runs, with_splats, photo = memory.read().split(b" ", 3)
        verb, _, argument = photo.decode().partition("|")[2].partition(":")
        on_progress("export", 0.0)
        obey(verb, argument, lambda: on_progress("export", 0.5))
        self.runs += 1
        made = self.result(Submission(photo), on_progress, on_reconstruction)
        parts = {"engine_pid": int(engine), "engine_runs": int(runs), "with_splats": with_splats == b"1"}
        return Asset(made.glb, made.report | parts)


def waits(settings):
    """Load an exporter when the test has written the file `go`."""
    while not (settings.work_dir / "go").exists():
        time.sleep(0.01)
    return Exporter(settings)
