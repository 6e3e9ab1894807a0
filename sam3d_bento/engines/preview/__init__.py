"""Reconstruction without learned weights: the silhouette is inflated and the photo is laid over it."""
