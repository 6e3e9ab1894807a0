"""Meta's checkpoints: checked, and read into main memory."""
