"""Determine the colour space of a file, and convert it to sRGB."""
