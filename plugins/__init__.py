"""The bundled plugins: what a config can name without installing anything, and examples for plugin authors.

Each is one small file that uses only the public names of `pipeline`, as any plugin would, and knows none of the others.
They are found by entry point and imported when a config names them.
"""
