"""Pure decisions: values and `now` in, facts with a reason out. Nothing here reads a clock, a file or a database."""
