"""The command `sam3d-bento`: run the pipeline without a service, and start, check and plan a service."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

import sam3d_bento
from sam3d_bento import api_key
from sam3d_bento.cli import address, launch
from sam3d_bento.cli.generation.commands import export, generate, mask
from sam3d_bento.cli.terminal import Commands, key_file_option, reports_errors
from sam3d_bento.cli.weights import weights
from sam3d_bento.errors import Sam3DError
from sam3d_bento.settings import ADDRESS_VARIABLE, Settings, SettingsError
from sam3d_bento.weights.part import WeightsError

plainly = reports_errors(Sam3DError, SettingsError, WeightsError)


@click.group(cls=Commands)
@click.version_option(sam3d_bento.__version__)
def main() -> None:
    """Turn a photo into a textured GLB."""


for command in (generate, export, mask, weights):
    main.add_command(command)


@main.command("memory-plan")
@click.option(
    "--voxels",
    type=click.IntRange(1, 42_000),
    default=41_000,
    show_default=True,
    help="Occupied voxels of the 64³ grid.",
)
@click.option("--parts", is_flag=True, help="Also print the size of each part of the network.")
@plainly
def memory_plan(voxels: int, parts: bool) -> None:
    """Print the planned GPU memory of SAM 3D for each stage and memory profile.

    Needs torch and Meta's package, but neither weights nor a GPU. The configurations in SAM3D_CHECKPOINT_DIR are
    used if they exist, otherwise those of the released networks.
    """
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("PyTorch is not installed. The plan needs it: install the extra `sam3d`.")
    from sam3d_bento.engines.sam3d import upstream

    upstream.prepare("cpu")
    from sam3d_bento.engines.sam3d.memory import architecture, plan
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    networks = architecture.from_checkpoints(Settings.from_environ().checkpoint_dir)
    if parts:
        click.echo(f"{plan.parts_table(networks)}\n")
    plans = [plan.plan(profile, voxels, architecture=networks) for profile in PROFILES.values()]
    click.echo(plan.table(plans))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@plainly
def doctor(as_json: bool) -> None:
    """Print what a bug report needs, and everything that would stop the service.

    Runs a photo through the preview engine as a self-test. Prints no secrets. The exit status is 1 if anything would
    stop the service.
    """
    from sam3d_bento.cli import doctor as examination

    report = examination.examine()
    click.echo(json.dumps(report, indent=1) if as_json else examination.text(report))
    if report["faults"]:
        sys.exit(1)


@main.command()
@click.option(
    "--server", metavar="URL", help="Address of a running service. Default: start one here, and stop it at the end."
)
@click.option(
    "--requests",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Number of requests, sent one after the other.",
)
@key_file_option
@plainly
def validate(server: str | None, requests: int, api_key_file: Path | None) -> None:
    """Send photos to a service, and print for each of its promises PASS, FAIL or NOT MEASURED.

    The photo is 1024 px wide. The exit status is 1 if a promise is not kept.
    """
    from sam3d_bento.cli import local_service, validate

    key = api_key.read_one(api_key_file) if api_key_file and server else None
    with contextlib.nullcontext() if server else local_service.started() as own:
        url = server or (own.url if own else "")
        lines = []
        for line in validate.validate(
            url, requests, key=key, own=own, on_message=lambda said: click.echo(said, err=True)
        ):
            click.echo(f"{line.verdict:<13} {line.promise:<11} {line.said}")
            lines.append(line)
    if any(line.verdict is validate.Verdict.FAIL for line in lines):
        sys.exit(1)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--host",
    envvar="BENTOML_HOST",
    default=address.LOOPBACK,
    show_default="127.0.0.1, which only this machine reaches",
    help="Address to listen on; 0.0.0.0 for all networks.",
)
@click.option(
    "-p", "--port", envvar="BENTOML_PORT", type=click.IntRange(1, 65535), default=address.PORT, show_default=True
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@plainly
def serve(host: str, port: int, arguments: tuple[str, ...]) -> NoReturn:
    """Start the service, for this machine alone unless --host says otherwise.

    ARGUMENTS are passed to `bentoml serve`.
    """
    if (warning := address.warning(host, port, Settings.from_environ())) is not None:
        click.echo(warning, err=True)
    command = launch.command(Path.cwd(), ["--host", host, "--port", str(port), *arguments])
    environment = launch.environment() | {ADDRESS_VARIABLE: address.url(host, port)}
    os.execve(sys.executable, command, environment)  # noqa: S606  # replaces this process; no shell
