"""Stores: each writes the items of a run into a stage, and makes the stage the output in one step."""
