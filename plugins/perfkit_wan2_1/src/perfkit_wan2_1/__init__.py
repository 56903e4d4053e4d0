"""perfkit plugin for Wan2.1 text-to-video."""
