"""Estimate how large things are from a photo alone, with a network that has learned it."""
