"""What is on the GPU in which stage, and how much memory that takes."""
