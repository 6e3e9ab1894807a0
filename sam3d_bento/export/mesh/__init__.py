"""Prepare the mesh before it has texture coordinates: clean, simplify and repair it."""
