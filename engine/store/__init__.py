"""The files on disk: the layout of bundles, safetensors, manifests, and the models that are installed."""
