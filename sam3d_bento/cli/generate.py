"""Run the pipeline without a service: the commands `sam3d-bento generate`, `export` and `mask`.

`generate` turns photos into GLBs, in this process or with a remote service. `export` converts a saved reconstruction to
a GLB or another format. `mask` writes the mask that a run would use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args

import click
from pydantic import ValidationError
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sam3d_bento import api_key, logs
from sam3d_bento.cli.generators import Generator, LocalGenerator, RemoteGenerator
from sam3d_bento.cli.terminal import Switch, SwitchCommand, console, existing_file, key_file_option, reports_errors
from sam3d_bento.errors import BadRequest, Sam3DError
from sam3d_bento.formats import FILE_TYPES, FORMATS, Format, FormatOptions, by_suffix, format_options, require
from sam3d_bento.options import EXPORT_OPTIONS, Options, choices, faults, from_texts
from sam3d_bento.settings import Settings, SettingsError
from sam3d_bento.submission import STAGES, Stage, Submission
from sam3d_bento.weights.part import WeightsError

P = ParamSpec("P")
R = TypeVar("R")

output_file = click.Path(dir_okay=False, writable=True, path_type=Path)
plainly = reports_errors(Sam3DError, SettingsError, WeightsError)


def option_flags(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that adds a flag to a command for each of these options of `Options`."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        for name in reversed(names):  # click lists the flag that was added last first
            command = _flag(name)(command)
        return command

    return decorate


def format_flags(command: Callable[P, R]) -> Callable[P, R]:
    """Add a flag to the command for each option of `FormatOptions`."""
    for name, field in reversed(FormatOptions.model_fields.items()):
        takers = ", ".join(other for other, kind in FILE_TYPES.items() if name in kind.options)
        words = get_args(field.annotation)
        command = click.option(
            f"--{name.replace('_', '-')}",
            type=click.Choice(words) if words else float,
            help=f"{takers}: {field.description}  [default: {field.default}]",
        )(command)
    return command


def _flag(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    field = Options.model_fields[name]
    spelling = f"--{name.replace('_', '-')}"
    listed = choices(name)
    how: dict[str, Any] = {"help": field.description, "show_default": True}
    if listed and True in listed:
        words = click.Choice([str(choice).lower() for choice in listed])
        return click.option(spelling, cls=Switch, type=words, default=str(field.default).lower(), **how)
    kind = click.Choice([str(choice) for choice in listed]) if listed else _type(field.annotation)
    default = None if field.default is None else str(field.default)
    return click.option(spelling, type=kind, default=default, **how)


def _type(annotation: Any) -> type[int] | type[float] | type[str]:
    """Return the type of the values that an option takes: float or str if its annotation has one, else int."""
    types = [annotation, *(_type(part) for part in get_args(annotation))]
    return str if str in types else float if float in types else int


def _options(**values: Any) -> Options:
    """Return the checked options. Raises click.UsageError for a value out of range."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    try:
        return Options.model_validate(values | from_texts(texts))
    except ValidationError as exc:
        raise click.UsageError(faults(exc, spelt=lambda name: f"--{name.replace('_', '-')}")) from exc


@click.command(cls=SwitchCommand)
@click.argument("photos", nargs=-1, required=True, type=existing_file)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path(), show_default=True)
@click.option("--mask", type=existing_file, help="Mask image, white on the object. For a single photo.")
@click.option("--depth", type=existing_file, help="Depth of the photo: 16-bit PNG or TIFF in mm, .npy, .npz.")
@click.option("--pointmap", type=existing_file, help="Point of each pixel of the photo in metres: .npy, .npz.")
@option_flags(*Options.model_fields)
@click.option(
    "--save-reconstruction", type=output_file, metavar="X.npz", help="Also save the dense mesh, for `export`."
)
@click.option("--server", metavar="URL", help="Use the service at this address instead of this machine.")
@key_file_option
@plainly
def generate(
    photos: tuple[Path, ...],
    output: Path,
    mask: Path | None,
    depth: Path | None,
    pointmap: Path | None,
    save_reconstruction: Path | None,
    server: str | None,
    api_key_file: Path | None,
    **choices: Any,
) -> None:
    """Turn each PHOTO into a GLB, DIR/<name>.glb, and a picture of it, DIR/<name>.webp.

    If a photo fails, the error is printed and the next photo follows. The exit status is then 1.
    """
    if server and save_reconstruction:
        raise click.UsageError(
            "--save-reconstruction cannot be used with --server: the service keeps the reconstruction."
        )
    if len(photos) > 1 and (mask or depth or pointmap or save_reconstruction):
        raise click.UsageError("--mask, --depth, --pointmap and --save-reconstruction need a single photo.")
    names = [photo.stem for photo in photos]
    if len(set(names)) < len(names):
        raise click.UsageError(
            "Two photos have the same name, so their results would overwrite each other. Rename one."
        )
    for photo in photos:
        if (output / f"{photo.stem}.webp").absolute() == photo.absolute():
            raise click.UsageError(f"The picture of the model would overwrite {photo.name}. Choose another --output.")
    options = _options(**choices)
    generator: Generator
    if server is not None:
        generator = RemoteGenerator(server, api_key.read_one(api_key_file) if api_key_file else None)
    else:
        settings = Settings.from_environ()
        logs.configure(settings.log_format)
        with console.status("Loading the engine"):
            generator = LocalGenerator(settings, save_reconstruction)
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    for photo in photos:
        files = [file.read_bytes() if file else None for file in (mask, depth, pointmap)]
        submission = Submission(photo.read_bytes(), files[0], options, *files[1:])
        with _progress_bar() as bar:
            try:
                made = generator.generate(submission, StageBar(bar, photo.name))
            except Sam3DError as exc:
                failed += 1
                bar.console.print(f"[red]{photo.name}: {exc}")
                continue
        target = output / f"{photo.stem}.glb"
        target.write_bytes(made.asset.glb)
        target.with_suffix(".webp").write_bytes(made.thumbnail)
        report = made.asset.report
        seconds = sum(report["seconds"].values())
        facts = f"{report['faces']} faces, {report['texture_size']} px, seed {report['seed']}, {seconds:.1f} s"
        click.echo(f"{target}  ({report['engine']}: {facts})")
        _print_warnings(report)
    if failed:
        sys.exit(1)


@click.command(cls=SwitchCommand)
@click.argument("scan", type=existing_file)
@click.option("-o", "--output", type=output_file, required=True)
@click.option("--format", "wanted", type=click.Choice(FORMATS), help="Default: by the suffix of OUTPUT, otherwise glb.")
@option_flags(*EXPORT_OPTIONS)
@format_flags
@plainly
def export(scan: Path, output: Path, wanted: Format | None, **values: Any) -> None:
    """Convert a saved reconstruction (SCAN.npz) to a GLB or another format, without inference."""
    of_format = {name: values.pop(name) for name in FormatOptions.model_fields}
    options = _options(**values)
    wanted = wanted or _format_of(output)
    try:
        chosen = format_options(wanted, {name: value for name, value in of_format.items() if value is not None})
    except BadRequest as exc:
        raise click.UsageError(str(exc)) from exc
    require(wanted)
    from sam3d_bento.postprocess import export_reconstruction
    from sam3d_bento.reconstruction import Reconstruction

    dense = Reconstruction.load(scan)
    made = export_reconstruction(dense, wanted, options, {"options": options.model_dump(include=set(values))}, chosen)
    output.write_bytes(made.content)
    facts = f"{made.facts['faces']} faces, {made.facts['texture_size']} px" if made.facts else f"{wanted}"
    click.echo(f"{output}  ({facts})")


def _format_of(output: Path) -> Format:
    """Return the format that the suffix of the file name stands for; GLB for any other suffix.

    Raises click.UsageError for `.obj`, because an OBJ needs further files.
    """
    if output.suffix.lower() == ".obj":
        raise click.UsageError(
            f"An OBJ is written as a ZIP with its material and texture. Name the file {output.stem}.obj.zip."
        )
    return by_suffix(output.name) or "glb"


@click.command()
@click.argument("photo", type=existing_file)
@click.option("-o", "--output", type=output_file, required=True)
@plainly
def mask(photo: Path, output: Path) -> None:
    """Write the mask that `generate` would use for PHOTO, as a PNG."""
    from sam3d_bento.pipeline import MaskPreview

    preview = MaskPreview.load(Settings.from_environ())
    image = preview.run(Submission(photo.read_bytes()), lambda stage, fraction: None)
    output.write_bytes(image.png)
    facts = image.report["mask"]
    click.echo(f"{output}  (from {facts['source']}, covers {facts['coverage']:.1%})")
    _print_warnings(image.report)


class StageBar:
    """Progress bar of one photo, as an `OnStageProgress`. Each stage is a quarter of the bar."""

    def __init__(self, bar: Progress, name: str) -> None:
        self._bar = bar
        self._task: TaskID = bar.add_task(name, total=len(STAGES), stage="")

    def __call__(self, stage: Stage, fraction: float) -> None:
        self._bar.update(self._task, completed=STAGES.index(stage) + fraction, stage=stage)


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[stage]}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _print_warnings(report: dict[str, Any]) -> None:
    for code in report["warnings"]:
        console.print(f"  warning: {code}", style="yellow")
