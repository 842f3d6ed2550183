"""How much is done: every point, or a share of them where the whole takes minutes."""

from prove.wire import HEAVY

__all__ = ["HEAVY"]
