"""How the cost of placing an order grows with what is already there. Written in a moment."""
from collections.abc import Sequence
from bench.cluster import Cluster
def growth(cluster: Cluster, sizes: Sequence[int]) -> None:
    del cluster, sizes
