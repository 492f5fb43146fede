"""Fetchers: other ways to get the pages of a rule."""
