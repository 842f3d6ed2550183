"""Benchmarks. Whatever is measured is measured beside its limit, in the same run and on the same server.

Absolute times belong to the machine that printed them; the ratios are what counts. No benchmark fails for being slow.
"""
