"""One run: driving it, taking it up again, showing it, ending it."""
