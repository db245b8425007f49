"""Manifests as kubectl reads them."""
