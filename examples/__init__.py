"""Plans to copy, and the demo that plays one of them."""
