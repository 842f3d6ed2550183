"""Shops: opened, and brought to what their file says."""
