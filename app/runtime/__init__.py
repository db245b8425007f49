"""What every process needs and no domain knowledge: settings, logging, metrics, tasks, health, the HTTP client."""
