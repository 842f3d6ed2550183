"""How much is done: every point, or a share of them where the whole takes minutes."""

import os
from typing import Final

HEAVY: Final = os.environ.get("HOLDFAST_HEAVY") == "1"
