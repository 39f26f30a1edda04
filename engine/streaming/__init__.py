"""Modules that take the place of a model's own and bring their weights from flash."""
