"""Counts and traces of what was done."""
