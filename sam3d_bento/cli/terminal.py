"""How the command `sam3d-bento` speaks to the person who runs it, and what several of its commands take."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from rich.console import Console

from sam3d_bento.settings import CLIENT_KEY_FILE

P = ParamSpec("P")
R = TypeVar("R")

console = Console(stderr=True)
existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
key_file_option = click.option(
    "--api-key-file",
    type=existing_file,
    envvar=CLIENT_KEY_FILE,
    help=f"Holds the key of --server's API. Default: what {CLIENT_KEY_FILE} names.",
)


def reports_errors(*errors: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """End a command that fails with one of these or an OSError with its sentence on standard error and status 1,
    without a traceback."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @wraps(command)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except errors as exc:
                raise click.ClickException(str(exc)) from exc
            except OSError as exc:
                said = f"{exc.strerror or exc}: {exc.filename}" if exc.filename else str(exc)
                raise click.ClickException(said) from exc

        return wrapper

    return decorate


class Switch(click.Option):
    """An option whose type is a `click.Choice` with "true"; without a value it means that."""


class SwitchCommand(click.Command):
    """A command whose `Switch` options may stand without a value, also before an argument.

    click's own optional values take the argument that follows as the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`."""
        words = {
            spelling: [str(choice) for choice in option.type.choices]
            for option in self.params
            if isinstance(option, Switch) and isinstance(option.type, click.Choice)
            for spelling in option.opts
        }
        end = args.index("--") if "--" in args else len(args)
        for place, argument in enumerate(args[:end]):
            if argument in words and not set(args[place + 1 : place + 2]) & set(words[argument]):
                args[place] = f"{argument}=true"
        return super().parse_args(ctx, args)
