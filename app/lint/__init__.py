"""`drplan lint`: the rules of admission for files, without a cluster."""
