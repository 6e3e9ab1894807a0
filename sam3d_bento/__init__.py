"""A photo in, a textured GLB out. See README.md."""

__version__ = "0.1.0"
