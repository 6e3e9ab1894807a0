"""Read files, with one module for each format: what is read, and how all pixels of an imperfect file are recovered."""
