"""The mesh before it has texture coordinates: cleaned, and simplified."""
