"""A proof as it comes out where all is well."""

from engine.inference.proof import Comparison, Cost, Proof

EXACT = Comparison(1.0, 2e-6, 12.5, Cost(200_000, 0.012, 21_000_000))
PREDICTED = Comparison(0.96, 0.04, 12.75, Cost(150_000, 0.011, 22_000_000))
FOUND = Proof((("Hi!", "Hello."),), 120, 12.5, Cost(9_000_000, 0.35, 14_000_000), EXACT, PREDICTED)
