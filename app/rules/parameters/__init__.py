"""Parameters of every level, from their declaration to what a run needs."""
