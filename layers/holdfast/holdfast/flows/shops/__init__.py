"""Shops: open them, and bring them in line with their files."""
