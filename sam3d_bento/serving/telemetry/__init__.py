"""Count and trace what the service does."""
