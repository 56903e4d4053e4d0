"""Generators of the reference pages: each reads the code and returns the text of its pages."""
