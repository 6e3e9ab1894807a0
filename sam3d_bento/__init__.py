"""Turn a photo into a textured GLB. See README.md."""

__version__ = "0.1.0"
