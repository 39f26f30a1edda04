"""The models a user can have: the catalogue, the Hub, downloads, and what is on disk."""
