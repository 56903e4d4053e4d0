"""Persisted files of a run, as pydantic models; the JSON schemas in ``docs/schema/`` come from here."""
