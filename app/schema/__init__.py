"""Structural CRDs and the API reference, both generated from the models.

``python -m app.schema --write crds`` writes them, ``--check crds`` fails when the committed ones differ.
"""

from app.schema.crds import KINDS, KindInfo, custom_resource_definition, to_yaml

__all__ = ["KINDS", "KindInfo", "custom_resource_definition", "to_yaml"]
