"""The models: those to have, those on their way, those on disk."""
