"""Structural schemas of the kinds and their CustomResourceDefinitions, made from the models."""

from app.schema.crds import KINDS, KindInfo, custom_resource_definition, to_yaml

__all__ = ["KINDS", "KindInfo", "custom_resource_definition", "to_yaml"]
