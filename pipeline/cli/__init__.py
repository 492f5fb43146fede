"""The command line: `hookline COMMAND`. One small file per group of commands, imported when the command is used.

Data goes to stdout, everything else to stderr. A user's mistake ends with a message and the exit code of its error
class; only a bug of ours shows a traceback.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from pipeline import __version__, collector, interrupts, remarks
from pipeline.cli import faults

COMMANDS = {
    "check": "pipeline.cli.check:check",
    "diff": "pipeline.cli.diff:diff",
    "fetch": "pipeline.cli.fetch:fetch",
    "import": "pipeline.cli.import_:import_",
    "init": "pipeline.cli.init:init",
    "items": "pipeline.cli.items:items",
    "plugin": "pipeline.cli.plugin:plugin",
    "publish": "pipeline.cli.publish:publish",
    "report": "pipeline.cli.report:report",
    "retry": "pipeline.cli.retry:retry",
    "run": "pipeline.cli.run:run",
    "runs": "pipeline.cli.runs:runs",
    "schedule": "pipeline.cli.schedule:schedule",
    "schema": "pipeline.cli.schema:schema",
    "state": "pipeline.cli.state:state",
    "test": "pipeline.cli.test:test",
    "try": "pipeline.cli.try_page:try_page",
    "why": "pipeline.cli.why:why",
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
        if not getattr(command.callback, "keeps_signals", False):
            interrupts.give_back()
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the variable for crash tests first: a wrong one is a usage error, and must not pass for none."""
        try:
            importlib.import_module("pipeline.failpoints")
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from None
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends with its message and its exit code, anything else is our bug: 70."""
        remarks.silence()
        collector.starting()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            ctx.exit(faults.tell(error))
        finally:
            collector.started()


@click.group(cls=Hookline, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hookline", message="%(prog)s %(version)s")
def main() -> None:
    """Hook, line and sinker: a YAML file says where to start and what to keep; a run publishes all of it or nothing."""
