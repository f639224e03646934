"""What went wrong where the grammar failed: from Lark's exception to a message that helps."""
