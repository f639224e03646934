"""Text to tree, tree to text."""
