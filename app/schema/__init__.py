"""Structural CRDs and an API reference, generated from the models."""
