"""Built-in profiler backends."""
