"""Cannot be imported."""

raise ImportError("broken on purpose")
