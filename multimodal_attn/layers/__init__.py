"""Layers that know of no sense: what encoders and decoders are built from."""
