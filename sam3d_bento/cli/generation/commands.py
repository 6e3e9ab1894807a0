"""Run the pipeline without a service: the commands `sam3d-bento generate`, `export` and `mask`.

`generate` turns photos into GLBs, in this process or with a remote service. `export` converts a saved reconstruction to
a GLB or another format. `mask` writes the mask that a run would use.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args

import click
from pydantic import ValidationError

from sam3d_bento import api_key
from sam3d_bento.cli.generation import photos as photo_files
from sam3d_bento.cli.generation import progress
from sam3d_bento.cli.generation.generators import Generated, Generator, LocalGenerator, RemoteGenerator
from sam3d_bento.cli.generation.outcomes import Outcomes
from sam3d_bento.cli.generation.photos import DASH, PhotoTask, printable
from sam3d_bento.cli.generation.sentences import configure_logs, print_warnings
from sam3d_bento.cli.terminal import (
    Switch,
    SwitchCommand,
    console,
    existing_file,
    key_file_option,
    reports_errors,
)
from sam3d_bento.errors import BadRequest, Sam3DError
from sam3d_bento.formats import FILE_TYPES, FORMATS, Format, FormatOptions, by_suffix, format_options, require, takers
from sam3d_bento.options import (
    EXPORT_OPTIONS,
    PROMPT_OPTIONS,
    USED_VALUES,
    Options,
    choices,
    faults,
    from_texts,
    listed_values,
)
from sam3d_bento.settings import Settings, SettingsError
from sam3d_bento.submission import SceneInput, Submission
from sam3d_bento.weights.part import WeightsError

P = ParamSpec("P")
R = TypeVar("R")

output_file = click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path)
photo_argument = click.Path(exists=True, allow_dash=True, path_type=Path)
# Suffix of an OBJ that is not in an archive.
BARE_OBJ = ".obj"
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
        listed = listed_values(field.annotation)
        default = "" if field.default is None else f"  [default: {field.default}]"
        command = click.option(
            f"--{name.replace('_', '-')}",
            type=click.Choice([str(choice) for choice in listed]) if listed else _type(field.annotation),
            help=f"{', '.join(takers(name))}: {field.description}{default}",
        )(command)
    return command


def _flag(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    field = Options.model_fields[name]
    if name == "points":
        return click.option(
            name,
            "--point",
            metavar="X,Y[,0]",
            multiple=True,
            callback=lambda context, option, given: ";".join(given) or None,
            help="Pixel on the object that is meant, in pixels of the upright photo; with ,0 one beside it. May be "
            "given several times.",
        )
    # The spelling of each side of the ocean.
    spellings = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name.replace('_', '-').replace('colour', 'color')}"))
    listed = choices(name)
    # The flag itself has no default: what was not given is left to the preset, if there is one.
    default = "" if field.default is None else f"  [default: {str(field.default).lower()}]"
    how: dict[str, Any] = {"help": f"{field.description}{default}"}
    if listed and True in listed:
        words = click.Choice([str(choice).lower() for choice in listed])
        return click.option(name, *spellings, cls=Switch, type=words, **how)
    kind = click.Choice([str(choice) for choice in listed]) if listed else _type(field.annotation)
    return click.option(name, *spellings, type=kind, **how)


def _type(annotation: Any) -> type[int] | type[float] | type[str]:
    """Return the type of the values that an option takes: float or str if its annotation has one, else int."""
    types = [annotation, *(_type(part) for part in get_args(annotation))]
    return str if str in types else float if float in types else int


def _options(**values: Any) -> Options:
    """Return the checked options. Raises click.UsageError for a value out of range."""
    given = {name: value for name, value in values.items() if value is not None}
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    try:
        return Options.model_validate(given | from_texts(texts))
    except ValidationError as exc:
        raise click.UsageError(faults(exc, spelt=_spelt)) from exc


def _spelt(name: str) -> str:
    """Return an option's name as the command line spells it."""
    return "--point" if name == "points" else f"--{name.replace('_', '-')}"


@click.command(cls=SwitchCommand)
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True, type=photo_argument)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder of the results; for one photo also a file, or - for standard output.  [default: .]",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="Format of the model. May be given several times.  [default: by the suffix of a file, else glb]",
)
@click.option("--recursive", is_flag=True, help="Also the photos in the subfolders of a folder.")
@click.option("--skip-existing", is_flag=True, help="Leave out photos whose results exist.")
@click.option("--mask", type=existing_file, help="Mask image, white on the object. For a single photo.")
@click.option("--masks", type=existing_file, multiple=True, help="Mask of one of several objects. Repeat for each.")
@click.option("--labels", type=existing_file, help="Grey PNG of 8 or 16 bits; each value above 0 is an object.")
@click.option(
    "--objects", metavar="X.json|all", help="List of objects (docs/scenes.md); or all that the mask model finds."
)
@click.option("--depth", type=existing_file, help="Depth of the photo: 16-bit PNG or TIFF in mm, .npy, .npz.")
@click.option("--pointmap", type=existing_file, help="Point of each pixel of the photo in metres: .npy, .npz.")
@option_flags(*Options.model_fields)
@click.option(
    "--save-reconstruction", type=output_file, metavar="X.npz", help="Also save the dense mesh, for `export`."
)
@click.option("--server", metavar="URL", help="Use the service at this address instead of this machine.")
@key_file_option
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each photo.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@plainly
def generate(
    photos: tuple[Path, ...],
    output: Path,
    formats: tuple[Format, ...],
    recursive: bool,
    skip_existing: bool,
    mask: Path | None,
    masks: tuple[Path, ...],
    labels: Path | None,
    objects: str | None,
    depth: Path | None,
    pointmap: Path | None,
    save_reconstruction: Path | None,
    server: str | None,
    api_key_file: Path | None,
    as_json: bool,
    quiet: bool,
    **choices: Any,
) -> None:
    """Turn each PHOTO into a GLB, DIR/<name>.glb, and a picture of it, DIR/<name>.webp.

    A PHOTO is a file, a folder of photos, or - for standard input. If a photo fails, the error is printed and the next
    photo follows. The exit status is then 1.
    """
    if server and save_reconstruction:
        raise click.UsageError(
            "--save-reconstruction cannot be used with --server: the service keeps the reconstruction."
        )
    options = _options(**choices)
    formats = tuple(dict.fromkeys(formats)) or photo_files.default_formats(output)
    unsized = next((wanted for wanted in formats if FILE_TYPES[wanted].needs_size), None)
    if unsized and not options.has_size and options.scale != "metric":
        raise click.UsageError(f"--format {unsized} needs --height, --longest-side or --scale metric.")
    tasks = photo_files.plan(photos, output, formats, options.name, recursive=recursive)
    files = (mask, masks, labels, objects not in (None, "all"), depth, pointmap, save_reconstruction)
    of_one_photo = (*files, options.prompt)
    if len(tasks) > 1 and any(of_one_photo):
        raise click.UsageError(
            "--mask, --masks, --labels, --objects with a file, --depth, --pointmap, --point, --box and"
            " --save-reconstruction need a single photo."
        )
    if output == DASH and sys.stdout.isatty():
        raise click.UsageError("The model is no text for a terminal. Redirect standard output to a file.")
    outcomes = Outcomes(len(tasks), as_json=as_json, quiet=quiet, to_stderr=output == DASH)
    if skip_existing and output != DASH:
        for task in (task for task in tasks if _is_done(task, formats)):
            outcomes.skipped(task, formats)
        tasks = [task for task in tasks if not _is_done(task, formats)]
    if tasks:
        scene = _scene(masks, labels, objects)
        if scene is not None and save_reconstruction is not None:
            save_reconstruction.unlink(missing_ok=True)  # the objects are added to it one after the other
        generator = _generator(server, api_key_file, save_reconstruction, quiet=quiet or as_json)
        mask_file, depth_file, points_file = (file.read_bytes() if file else None for file in (mask, depth, pointmap))
        for task in tasks:
            try:
                named = options if task.photo == DASH else options.named_after(task.photo.name)
                submission = Submission(task.read(), mask_file, named, depth_file, points_file, scene)
                with progress.bar(console, outcomes.next_label(task), quiet=quiet) as on_progress:
                    made = generator.generate(submission, formats, on_progress)
                _write(task, made)
            except (Sam3DError, OSError) as exc:
                outcomes.failed(task, exc)
            else:
                outcomes.done(task, made)
    outcomes.close()
    if outcomes.failures:
        sys.exit(1)


def _scene(masks: tuple[Path, ...], labels: Path | None, objects: str | None) -> SceneInput | None:
    """Return the objects of a scene, or None for a single object. Raises click.UsageError for a file that is none."""
    if not masks and labels is None and objects is None:
        return None
    if objects is not None and objects != "all":
        try:
            objects = Path(objects).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise click.UsageError("--objects needs a file of JSON, or the word all.") from exc
    return SceneInput(tuple(file.read_bytes() for file in masks), labels.read_bytes() if labels else None, objects)


def _generator(
    server: str | None, api_key_file: Path | None, save_reconstruction: Path | None, *, quiet: bool
) -> Generator:
    if server is not None:
        return RemoteGenerator(server, api_key.read_one(api_key_file) if api_key_file else None)
    settings = Settings.from_environ()
    configure_logs(settings, quiet=quiet)
    if quiet:
        return LocalGenerator(settings, save_reconstruction)
    with console.status("Loading the engine"):
        return LocalGenerator(settings, save_reconstruction)


def _is_done(task: PhotoTask, formats: tuple[Format, ...]) -> bool:
    return all(task.file(wanted).exists() for wanted in formats)


def _write(task: PhotoTask, made: Generated) -> None:
    """Write the files of a photo, each whole or not at all. Raises OSError."""
    if task.base == DASH:
        (content,) = made.files.values()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    task.base.parent.mkdir(parents=True, exist_ok=True)
    # The model last: `--skip-existing` takes a photo with its model for done.
    _replace(task.picture, made.picture)
    for wanted, content in made.files.items():
        _replace(task.file(wanted), content)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@click.command(cls=SwitchCommand)
@click.argument("scan", type=existing_file)
@click.option("-o", "--output", type=output_file, required=True, help="File of the result, or - for standard output.")
@click.option(
    "--format", "wanted", type=click.Choice(FORMATS), help="Default: by the suffix of OUTPUT; glb on standard output."
)
@option_flags(*EXPORT_OPTIONS)
@format_flags
@plainly
def export(scan: Path, output: Path, wanted: Format | None, **values: Any) -> None:
    """Convert a saved reconstruction (SCAN.npz) to a GLB or another format, without inference.

    The model is called like OUTPUT, or by --name. An OUTPUT of .obj gets its material and texture beside it; one of
    .obj.zip holds all three.
    """
    of_format = {name: values.pop(name) for name in FormatOptions.model_fields}
    is_bare_obj = output.suffix.lower() == BARE_OBJ and wanted in (None, "obj")
    wanted = wanted or ("glb" if output == DASH else _format_of(output))
    options = _options(**values).named_after(None if output == DASH else _without_suffix(output.name, wanted))
    try:
        chosen = format_options(wanted, {name: value for name, value in of_format.items() if value is not None})
    except BadRequest as exc:
        raise click.UsageError(str(exc)) from exc
    require(wanted, chosen)
    from sam3d_bento.postprocess import export_reconstruction
    from sam3d_bento.reconstruction import Reconstruction

    dense = Reconstruction.load(scan)
    recorded = options.model_dump(include=set(values) - USED_VALUES)
    made = export_reconstruction(dense, wanted, options, {"options": recorded}, chosen)
    if output == DASH:
        sys.stdout.buffer.write(made.content)
    elif is_bare_obj:
        _write_obj(output, made.content)
    else:
        _replace(output, made.content)
    facts = f"{made.facts['faces']} faces, {made.facts['texture_size']} px" if made.facts else f"{wanted}"
    click.echo(f"{'standard output' if output == DASH else printable(output)}  ({facts})", err=output == DASH)


def _without_suffix(name: str, wanted: Format) -> str:
    """Return a file's name, up to the dot, without the whole suffix of its format, which may have several parts."""
    suffix = FILE_TYPES[wanted].suffix
    return name[: -len(suffix)] if name.lower().endswith(f".{suffix}") else name


def _format_of(output: Path) -> Format:
    """Return the format that the suffix of the file name stands for. Raises click.UsageError for any other suffix."""
    found = "obj" if output.suffix.lower() == BARE_OBJ else by_suffix(output.name)
    if found is None:
        known = ", ".join(f".{kind.suffix}" for kind in FILE_TYPES.values())
        raise click.UsageError(
            f"The suffix of {printable(output)} is none of {known}, {BARE_OBJ}. Use one of them, or --format."
        )
    return found


def _write_obj(output: Path, archive: bytes) -> None:
    """Write the OBJ of an archive to `output`, and its material and texture beside it.

    Raises click.UsageError if one of these would overwrite a file that is not from an earlier export.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    places = {name: output if name.endswith(BARE_OBJ) else output.with_name(name) for name in files}
    foreign = [path for path in places.values() if path.exists() and not output.exists()]
    if foreign:
        raise click.UsageError(f"The export would overwrite {printable(foreign[0])}. Choose another --output.")
    for name, content in files.items():
        _replace(places[name], content)


@click.command()
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("-o", "--output", type=output_file, required=True, help="File of the mask, or - for standard output.")
@option_flags(*PROMPT_OPTIONS)
@plainly
def mask(photo: Path, output: Path, **prompt: Any) -> None:
    """Write the mask that `generate` would use for PHOTO (- for standard input), as a PNG.

    Which object is meant can be said by --point and --box.
    """
    from sam3d_bento.pipeline import MaskPreview

    options = _options(**prompt)
    preview = MaskPreview.load(Settings.from_environ())
    task = PhotoTask(photo, output)
    image = preview.run(Submission(task.read(), options=options), lambda stage, fraction: None)
    if output == DASH:
        sys.stdout.buffer.write(image.png)
    else:
        _replace(output, image.png)
    facts = image.report["mask"]
    where = "standard output" if output == DASH else printable(output)
    click.echo(f"{where}  (from {facts['source']}, covers {facts['coverage']:.1%})", err=output == DASH)
    for index, one in enumerate(facts["candidates"]):
        used = ", used" if index == facts["candidate"] else ""
        click.echo(f"candidate {index}: covers {one['coverage']:.1%}, score {one['score']:.2f}{used}", err=True)
    print_warnings(image.report["warnings"])
