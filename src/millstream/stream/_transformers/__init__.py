"""What turns the events of a run into views of it."""
