"""The config of a run: read from YAML, checked against the models, every mistake with its place."""

from __future__ import annotations

from pipeline.config.jsonschema import json_schema
from pipeline.config.loader import Loaded, WrongConfigError, check_names, expand, load, load_many
from pipeline.config.schema import Config

__all__ = ["Config", "Loaded", "WrongConfigError", "check_names", "expand", "json_schema", "load", "load_many"]
