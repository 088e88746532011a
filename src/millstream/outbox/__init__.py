"""Where everything goes that a run says to its readers."""
