"""Write, read, pack, unpack and check GLB files."""
