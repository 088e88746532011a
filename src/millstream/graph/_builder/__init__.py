"""What `StateGraph` is built on."""
