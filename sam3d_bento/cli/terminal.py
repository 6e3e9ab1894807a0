"""Output, error messages and arguments shared by several commands of `sam3d-bento`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from rich.console import Console

from sam3d_bento.settings import CLIENT_KEY_FILE

P = ParamSpec("P")
R = TypeVar("R")

# Exit status of a command that Ctrl-C has ended: 128 and the number of SIGINT, as of shells.
INTERRUPTED = 130

console = Console(stderr=True)
existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
key_file_option = click.option(
    "--api-key-file",
    type=existing_file,
    envvar=CLIENT_KEY_FILE,
    help=f"File with the API key for --server. Default: the file in {CLIENT_KEY_FILE}.",
)


def reports_errors(*errors: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for commands that prints errors of these classes, and OSError, without a traceback.

    The message goes to standard error, and the exit status is 1.
    """

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


class Commands(click.Group):
    """Group of commands that Ctrl-C ends with the status INTERRUPTED. click's own status would be 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command as `click.Group` does."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


class Switch(click.Option):
    """Option whose value may be omitted, which then means "true". Its type is a `click.Choice` with "true"."""


class SwitchCommand(click.Command):
    """Command whose `Switch` options may omit their value, even before an argument.

    click's own optional values would take the argument for the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as `click.Command` does, after giving each `Switch` without a value the value "true"."""
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
