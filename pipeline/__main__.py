"""`python -P -m pipeline` is the `hookline` command."""

from pipeline.cli import main

main(prog_name="hookline")
