"""The local server: the protocols that other programs speak, over the engine of this process."""
