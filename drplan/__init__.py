"""The `drplan` command line."""
