"""Proof of a cost tree: count the real implementation on the meta device and compare every module."""
