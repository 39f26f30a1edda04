"""The neurons that a token needs: exact selection, the low-rank predictor and its training (paper, section 3.1)."""
