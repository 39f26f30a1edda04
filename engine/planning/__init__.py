"""What a model will need and how fast it will be: shape, memory, reuse, cost, outlook."""
