"""The only code that talks to the Kubernetes API server: connection, requests, watches, cache, lease, events."""
