"""What a model expects of its observed variables, given what is seen."""
