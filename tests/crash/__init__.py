"""Crash tests: whole runs that are killed, starved or told to stop, and must end as an uninterrupted one does."""
