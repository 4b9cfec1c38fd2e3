"""Pure decisions: what is said, to whom, and whether to try again."""
