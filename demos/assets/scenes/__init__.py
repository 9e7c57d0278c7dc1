"""Procedural scenes behind the example pictures; see ../README.md."""
