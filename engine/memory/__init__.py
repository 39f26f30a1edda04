"""Bundles in memory: pool, window, memory budget (paper, sections 3.1 and 3.3)."""
