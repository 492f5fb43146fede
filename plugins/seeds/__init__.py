"""Seeds: where a run starts."""
