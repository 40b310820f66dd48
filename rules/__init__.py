"""What Kommunpost decides: values in, values out.

Nothing in this package reads a file, a clock, a network or a database. Whatever a rule needs is handed to it, so
that every verdict can be repeated from the same values years later.
"""
