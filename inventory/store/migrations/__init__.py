"""The schema's history, run by Alembic. A released migration is never edited."""
