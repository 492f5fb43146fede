"""Filters: each sees one item at a time, and keeps, changes or drops it."""
