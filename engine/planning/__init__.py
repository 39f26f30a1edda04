"""The needs and the speed of a model, before it runs: shape, memory, reuse, cost, outlook."""
