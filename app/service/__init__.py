"""The HTTP side of a process: FastAPI applications for probes and metrics, and the server that runs them."""
