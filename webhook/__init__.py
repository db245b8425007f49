"""The admission service: review envelope, rules per kind, defaults, look-ups, certificates."""
