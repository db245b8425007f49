"""Executors of actions: one module a type, one protocol, one explicit registry."""
