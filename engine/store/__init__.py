"""What is on disk: the layout of bundles, safetensors, manifests, and which models are installed."""
