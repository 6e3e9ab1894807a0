"""Texture coordinates: the mesh cut into charts, flattened, and packed on a page."""
