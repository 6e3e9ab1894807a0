"""From a prompt (points, a box) to the mask of the object that is meant: `prompter` is the way in."""
