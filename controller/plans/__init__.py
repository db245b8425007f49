"""What runs do to their plan: its lock, its history, its status."""
