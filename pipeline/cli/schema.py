"""`hookline schema`: the JSON Schema of a config, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.config import json_schema, load


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path, dir_okay=False))
def schema(config: Path | None) -> None:
    """Print the JSON Schema of a config file, with the options of every installed plugin's components.

    With CONFIG also those of the plugins that this config lists. Editors complete and check keys with it: save it as
    hookline.schema.json and put `# yaml-language-server: $schema=hookline.schema.json` on top of a config.
    """
    from pipeline.stages.describing import describe_all  # noqa: PLC0415 - it imports all plugins, for this alone

    named: dict[str, Path] = {}
    if config is not None:
        loaded = load(config)
        for index, entry in enumerate(loaded.config.plugins):
            mark = loaded.locate(entry.key_path("plugins", index))
            named[entry.name] = Path(mark.file).parent if mark else config.parent
    click.echo(json.dumps(json_schema(describe_all(named)), indent=2, default=str))
