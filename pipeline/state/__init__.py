"""What outlives a process: one SQLite file per config, the only importer of `sqlite3` in the framework."""
