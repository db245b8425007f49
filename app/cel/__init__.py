"""CEL conditions of actions: the language that `app.engine.when` takes from outside, on Google's CEL runtime."""
