"""Describe a model to a physics engine: convex collision shapes, mass and inertia, and the files of robotics."""
