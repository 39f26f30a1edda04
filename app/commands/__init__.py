"""What the menus do: with conversations, and with models."""
