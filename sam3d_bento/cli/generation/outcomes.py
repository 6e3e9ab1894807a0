"""Tell what became of each photo: a sentence or a line of JSON each, and one sentence on all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import click

from sam3d_bento.cli.generation.generators import Generated
from sam3d_bento.cli.generation.photos import DASH, PhotoTask, printable
from sam3d_bento.cli.generation.sentences import print_warnings
from sam3d_bento.errors import Sam3DError
from sam3d_bento.formats import Format

# Code of a failure that is not of the tree in `errors`: a file that cannot be read or written.
FILE_ERROR = "file_error"


class Outcomes:
    """Outcomes of a call of `generate` for `count` photos.

    as_json: a line of JSON for each photo on standard output, and no sentences. quiet: errors only. to_stderr:
    standard output is taken by the model, so everything goes to standard error.
    """

    def __init__(self, count: int, *, as_json: bool, quiet: bool, to_stderr: bool) -> None:
        self.failures = 0
        self._count = count
        self._done = 0
        self._skipped = 0
        self._as_json = as_json
        self._quiet = quiet
        self._to_stderr = to_stderr
        self._started = time.monotonic()

    def next_label(self, task: PhotoTask) -> str:
        """Return what a progress bar calls the photo: its place among several, and its name."""
        place = f"{self._done + self._skipped + self.failures + 1}/{self._count} " if self._count > 1 else ""
        return f"{place}{task.label if task.photo == DASH else task.photo.name}"

    def done(self, task: PhotoTask, made: Generated) -> None:
        """Tell that the results of a photo were written."""
        self._done += 1
        report = made.report
        is_written = task.base != DASH
        if self._as_json:
            files = {wanted: printable(task.file(wanted)) if is_written else None for wanted in made.files}
            picture = printable(task.picture) if is_written else None
            self._print_json(task, "done", files=files, picture=picture, report=report)
        elif not self._quiet:
            seconds = sum(report["seconds"].values())
            facts = f"{report['faces']} faces, {report['texture_size']} px, seed {report['seed']}, {seconds:.1f} s"
            where = ", ".join(printable(task.file(wanted)) for wanted in made.files) if is_written else task.label
            click.echo(f"{where}  ({report['engine']}: {facts})", err=self._to_stderr)
            print_warnings(report["warnings"])

    def skipped(self, task: PhotoTask, formats: Sequence[Format]) -> None:
        """Tell that a photo was left out, because its results exist."""
        self._skipped += 1
        if self._as_json:
            self._print_json(task, "skipped", files={wanted: printable(task.file(wanted)) for wanted in formats})
        elif not self._quiet:
            click.echo(f"{task.label}: skipped, its result exists.", err=self._to_stderr)

    def failed(self, task: PhotoTask, error: Sam3DError | OSError) -> None:
        """Tell why a photo has no result."""
        self.failures += 1
        if isinstance(error, Sam3DError):
            code, detail = error.code, error.detail
        else:
            code, detail = FILE_ERROR, f"{error.strerror or error}."
        if self._as_json:
            self._print_json(task, "failed", error={"code": code, "detail": detail})
        else:
            click.secho(f"{task.label}: {detail}", fg="red", err=True)

    def close(self) -> None:
        """Tell how many photos there were of each outcome, if there were several."""
        if self._count > 1 and not self._quiet and not self._as_json:
            skipped = f", {self._skipped} skipped" if self._skipped else ""
            seconds = time.monotonic() - self._started
            click.echo(f"{self._done} done, {self.failures} failed{skipped}, {seconds:.0f} s", err=True)

    def _print_json(self, task: PhotoTask, state: str, **fields: Any) -> None:
        photo = None if task.photo == DASH else printable(task.photo)
        click.echo(json.dumps({"photo": photo, "state": state, **fields}), err=self._to_stderr)
