"""The menus' commands: on conversations, and on models."""
