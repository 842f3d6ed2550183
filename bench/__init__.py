"""Benchmarks: what is measured is measured beside its limit, in the same run, on the same server.

Absolute times belong to the machine that printed them; the ratios are what counts. No benchmark fails by time.
"""
