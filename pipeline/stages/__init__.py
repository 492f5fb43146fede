"""The hook stages: pluggy, the plugin host, and what a plugin author holds in hand."""
