"""Reconstruct without learned weights: inflate the silhouette or fit a shape to it, and lay the photo over it."""
