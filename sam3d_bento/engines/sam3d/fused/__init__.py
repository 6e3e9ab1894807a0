"""Networks of upstream as few kernels: the same weights and formulas, without what is computed more than once."""
