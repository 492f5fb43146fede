"""Configs of other tools, said as Hookline's: `goskyr` and `html2rss`.

A translator takes the tree of a foreign file and gives documents: data in the order in which it is to be written, and
notes on what could not be said. It knows neither files nor the command line. What it gives is meant to be read and
kept by hand, so it is as plain as the source allows.
"""
