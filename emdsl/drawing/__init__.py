"""The model as a plate diagram: what it consists of, where each thing is put, and the drawing."""
