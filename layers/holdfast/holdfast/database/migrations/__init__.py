"""The schema, as Alembic revisions in plain SQL.

A revision is ``versions/NNNN_name.py``, which says what comes before it and runs ``sql/NNNN_name.up.sql``, or its
``.down.sql``; a long one has several files. Gaps between the numbers mean nothing. A later revision replaces a function
by ``CREATE OR REPLACE`` with its whole text, or renames it and puts another before it; ``\\sf schema.function`` in psql
shows the present text.
"""
