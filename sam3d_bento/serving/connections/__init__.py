"""What happens on connections before and beside HTTP: who is let in, which limits hold, what moves."""
