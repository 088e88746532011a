"""What requests have in their bodies and queries, a module for each resource."""
