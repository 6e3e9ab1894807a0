"""Decode the bytes of a file to a `Photo`, and find the photo's `Mask`."""
