"""Parsers: they read items and links off a page."""
