"""The HTTP routes, and the reading of what is sent to them."""
