"""Where page jobs run."""
