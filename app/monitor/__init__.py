"""The live panel: what the engine does, as it does it."""
