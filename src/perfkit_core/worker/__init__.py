"""The process that holds torch: ``python -m perfkit_core.worker PLAN``."""
