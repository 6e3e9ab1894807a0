"""GLB files: written, read back, packed, unpacked and checked."""
