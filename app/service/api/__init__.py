"""The read-only HTTP API under `/api/v1`: plans, executions, histories and timelines for people and dashboards."""
