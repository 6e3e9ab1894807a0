"""Commands that turn photos into models: the files they read and write, who does the work, what they print."""
