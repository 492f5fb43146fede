"""`hookline fetch`: a client, not a crawl."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import click

from pipeline.config import load
from pipeline.errors import ConfigError, Problem
from pipeline.logs import printable
from pipeline.model import Request
from pipeline.runner.client import Fetched
from pipeline.runner.fetching import client_for
from pipeline.url import normalise


@click.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per URL on stdout, in the order asked.")
@click.option("--head", is_flag=True, help="Send HEAD and print the head.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Take the fetch settings of a config.")
def fetch(urls: tuple[str, ...], as_json: bool, head: bool, config: Path | None) -> None:
    """Fetch each URL once and print its body; redirects are followed; no robots, no delay, no retries.

    Exit code 0 if all were fetched, else 4.
    """
    requests = [Request(_absolute(url), method="HEAD" if head else "GET", seed=True) for url in urls]
    loaded = load(config) if config is not None else None
    with client_for(loaded, [request.url for request in requests]) as client:
        results = client.fetch(requests)
    for url, result in zip(urls, results, strict=True):
        result.url = url
        _print_json(result) if as_json else _print_plain(result, head)
    sys.exit(0 if all(result.outcome == "fetched" for result in results) else 4)


def _absolute(url: str) -> str:
    full = normalise(url) if "://" in url else normalise(f"http://{url}")
    if full is None:
        raise ConfigError([Problem(None, url, "is no URL", "write it as http://host/path")])
    return full


def _print_json(result: Fetched) -> None:
    row = {
        "url": result.url,
        "final_url": result.final_url,
        "outcome": result.outcome,
        "status": result.status,
        "headers": [list(pair) for pair in result.headers],
        "body_b64": None if result.body is None else base64.b64encode(result.body).decode(),
        "error": result.error,
        "elapsed_ms": round(result.elapsed * 1000, 1),
    }
    click.echo(json.dumps(row))


def _print_plain(result: Fetched, head: bool) -> None:
    if head and result.status is not None:
        lines = [f"HTTP {result.status} {result.final_url}", *(f"{name}: {value}" for name, value in result.headers)]
        click.echo("\n".join(printable(line, 8192) for line in lines))
    elif result.body is not None:
        sys.stdout.buffer.write(result.body)
        sys.stdout.buffer.flush()
    if result.outcome != "fetched":
        click.echo(printable(f"{result.url}: {result.outcome}: {result.error or result.outcome}"), err=True)
