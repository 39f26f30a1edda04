"""Arrays: dtypes, aligned memory, and products where there is no GPU."""
