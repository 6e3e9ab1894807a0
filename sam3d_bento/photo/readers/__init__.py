"""One module for each format of files: what is read from it, and how sound pixels in an imperfect file are reached."""
