"""Plugins as users install them: broken, clashing, and the example from wheels."""
