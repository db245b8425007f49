"""One reconciler a kind: from the state of an object to what is to be done about it."""
