"""`hookline schema`: the JSON Schema of a config, for editors."""

from __future__ import annotations

import json

import click

from pipeline.config import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of a config file.

    Editors complete and check keys with it: save it as hookline.schema.json and put
    `# yaml-language-server: $schema=hookline.schema.json` on top of a config.
    """
    click.echo(json.dumps(json_schema(), indent=2))
