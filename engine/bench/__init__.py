"""Benchmarks: the drive's curve, the paper's tables 2 and 3, its fig. 4 and 7, and a report of them all."""
