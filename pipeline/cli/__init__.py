"""The command line: `hookline COMMAND`. One small file per group of commands, imported when the command is used.

Data goes to stdout, everything else to stderr. A user's mistake ends with a message and the exit code of its error
class; only a bug of ours shows a traceback.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from typing import Any

import click

from pipeline.errors import HooklineError

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_STORAGE_FAILED = 5  # of the table of exit codes

COMMANDS = {
    "check": "pipeline.cli.check:check",
    "fetch": "pipeline.cli.fetch:fetch",
    "plugin": "pipeline.cli.plugin:plugin",
    "run": "pipeline.cli.run:run",
    "schema": "pipeline.cli.schema:schema",
    "try": "pipeline.cli.try_page:try_page",
}


class Hookline(click.Group):
    """A group that imports a command when it is asked for, and turns our errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, by name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None for an unknown name."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends with its message and its exit code, anything else is our bug: 70."""
        try:
            return super().invoke(ctx)
        except HooklineError as error:
            click.echo(str(error), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(130)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:  # as in `hookline fetch ... | head`: who reads has seen enough
                _drop_stdout()
                ctx.exit(_STORAGE_FAILED)
            if error.errno in _DISK_FULL:
                _drop_stdout()
                click.echo(f"the output cannot be written: {error.strerror}", err=True)
                ctx.exit(_STORAGE_FAILED)
            self._report_bug(ctx)
        except Exception:
            self._report_bug(ctx)

    def _report_bug(self, ctx: click.Context) -> None:
        click.echo(traceback.format_exc(), err=True, nl=False)
        click.echo("internal error: this is a bug of Hookline; please report it with the lines above", err=True)
        ctx.exit(HooklineError.exit_code)


def _drop_stdout() -> None:
    """What is left in the buffer goes nowhere, so that Python does not complain of it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@click.group(cls=Hookline, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hookline", prog_name="hookline", message="%(prog)s %(version)s")
def main() -> None:
    """Hook, line and sinker: a YAML file says where to start and what to keep; a run publishes all of it or nothing."""
