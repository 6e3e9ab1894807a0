"""From the bytes of a file to a `Photo`, and from a photo to its `Mask`."""
