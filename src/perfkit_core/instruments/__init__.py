"""What built-in backends do inside the worker, next to torch."""
