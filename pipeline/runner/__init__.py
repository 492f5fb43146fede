"""One run: build it from a config, drive it, judge it, publish it, tell of it."""
