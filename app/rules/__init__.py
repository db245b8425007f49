"""Validation rules: pure functions from objects to findings, used by the webhook service and the reconcilers alike."""
