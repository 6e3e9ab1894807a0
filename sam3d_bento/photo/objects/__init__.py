"""Find the masks of several objects of one photo."""
