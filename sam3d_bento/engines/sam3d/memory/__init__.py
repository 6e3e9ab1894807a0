"""Decide what is on the GPU in which stage, and calculate how much memory that takes."""
