"""Holdfast: a serverless order backend. Start reading in ``flows``: one file per thing the system does."""
