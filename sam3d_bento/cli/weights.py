"""Fetch, check and list weight files: the commands `sam3d-bento weights ...`.

An image build runs `python -m sam3d_bento.cli.weights fetch ...` before the rest of the project is installed. This
module therefore needs only click, pydantic and rich.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich import progress as bars

from sam3d_bento import weights as weight_files
from sam3d_bento.cli.terminal import console, existing_file, reports_errors
from sam3d_bento.settings import SettingsError
from sam3d_bento.weights import token
from sam3d_bento.weights.part import WeightsError
from sam3d_bento.weights.sets import ALL, SETS, WeightFile, find, places

folder = click.Path(file_okay=False, path_type=Path)
any_set = click.Choice([*SETS, ALL])
plainly = reports_errors(SettingsError, WeightsError)


@click.group()
def weights() -> None:
    """Fetch, check and list weight files."""


@weights.command()
@click.option("--set", "set_name", type=any_set, default="mask", show_default=True)
@click.option(
    "--to",
    type=folder,
    metavar="DIR",
    help="Download to DIR/hf, DIR/mask and DIR/size. Default: the folders that the service uses.",
)
@click.option(
    "--token-file",
    type=existing_file,
    help="File with the Hugging Face token for gated files. "
    f"Default: {token.SECRET_FILE} if it exists, otherwise the environment variable {token.VARIABLE}.",
)
@plainly
def fetch(set_name: str, to: Path | None, token_file: Path | None) -> None:
    """Download missing files, and check every file against its SHA-256. Interrupted downloads are resumed."""
    folders = places(set_name, to)
    secret = token.find(token_file)
    files = [file for name, directory in folders.items() for file in find(name, directory).files]
    failures = []
    with _progress(files) as (on_message, on_progress):
        for name, directory in folders.items():
            try:
                weight_files.fetch(name, directory, on_message, token=secret, on_progress=on_progress)
            except WeightsError as exc:
                failures.append(str(exc))
            else:
                on_message(f"The set '{name}' is complete in {directory}.")
    if failures:
        raise click.ClickException("\n".join(failures))


@weights.command()
@click.argument("directory", required=False, metavar="[DIR]", type=folder)
@click.option("--set", "set_name", type=any_set, help="Default: all; without DIR, mask.")
@click.option("--sizes", is_flag=True, help="Check only the sizes, as the service does at each start.")
@plainly
def verify(directory: Path | None, set_name: str | None, sizes: bool) -> None:
    """Check the files in DIR/hf, DIR/mask and DIR/size, or in the folders that the service uses.

    Prints each file that is missing or wrong. The exit status is then 1.
    """
    sentences = []
    for name, place in places(set_name or (ALL if directory else "mask"), directory).items():
        if faults := weight_files.verify(name, place, contents=not sizes):
            sentences += [fault.sentence for fault in faults]
        else:
            click.echo(f"The set '{name}' is complete{' (only sizes were checked)' if sizes else ''}.")
    if sentences:
        raise click.ClickException("\n".join(sentences))


@weights.command("list")
@click.option("--set", "set_name", type=any_set, default=ALL, show_default=True)
def list_files(set_name: str) -> None:
    """Print each file's set, name, bytes, SHA-256, licence and sources, separated by tabs."""
    for name in SETS if set_name == ALL else [set_name]:
        for file in SETS[name].files:
            sources = ", ".join(str(source) for source in file.sources)
            click.echo("\t".join((name, file.name, str(file.size), file.sha256, file.licence, sources)))


@contextmanager
def _progress(files: list[WeightFile]) -> Iterator[tuple[Callable[[str], None], Callable[[WeightFile, int], None]]]:
    """Yield the two callbacks of `weights.fetch`. They draw progress bars on a terminal, and print lines to a log."""
    if not console.is_terminal:
        yield click.echo, lambda file, received: None
        return
    figures = (bars.DownloadColumn(), bars.TransferSpeedColumn(), bars.TimeRemainingColumn())
    named = bars.TextColumn("{task.description}")
    with bars.Progress(named, bars.BarColumn(), *figures, console=console, transient=True) as shown:
        yield lambda line: shown.console.print(line, highlight=False, markup=False), FileBars(shown, files)


class FileBars:
    """Progress bars of a download: one for each file in progress, and one for the total."""

    def __init__(self, shown: bars.Progress, files: list[WeightFile]) -> None:
        self._shown = shown
        self._total = shown.add_task("total", total=sum(file.size for file in files))
        self._tasks: dict[str, bars.TaskID] = {}
        self._received = {file.name: 0 for file in files}

    def __call__(self, file: WeightFile, received: int) -> None:
        self._received[file.name] = received
        if file.name not in self._tasks:
            self._tasks[file.name] = self._shown.add_task(file.name, total=file.size)
        self._shown.update(self._tasks[file.name], completed=received, visible=received < file.size)
        self._shown.update(self._total, completed=sum(self._received.values()))


if __name__ == "__main__":
    weights()
