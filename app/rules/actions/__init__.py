"""One action of a workflow: what its text alone tells."""
