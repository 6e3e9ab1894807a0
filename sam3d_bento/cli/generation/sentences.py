"""Print what the package warns of as sentences, without time and level."""

from __future__ import annotations

import logging

import click

from sam3d_bento import logs
from sam3d_bento.cli.terminal import console
from sam3d_bento.settings import Settings
from sam3d_bento.warning_codes import WarningCode


class _SentenceHandler(logging.Handler):
    """Prints log lines on standard error, without time and level."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), style="yellow", markup=False, highlight=False, soft_wrap=True)


def configure_logs(settings: Settings, *, quiet: bool = False) -> None:
    """Print the package's warnings as sentences, if `quiet` only its errors. With `log_format=json`, log as usual."""
    if settings.log_format == "json":
        logs.configure("json")
        return
    logger = logging.getLogger(logs.ROOT)
    logger.handlers[:] = [_SentenceHandler()]
    logger.setLevel(logging.ERROR if quiet else logging.WARNING)
    logger.propagate = False


def print_warnings(codes: list[str]) -> None:
    """Print the sentence of each warning on standard error. A code of a newer service is printed as it is."""
    for code in codes:
        sentence = WarningCode(code).sentence if code in list(WarningCode) else code
        click.secho(f"  warning: {sentence}", fg="yellow", err=True)
