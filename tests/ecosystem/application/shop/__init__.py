"""The desk of a bicycle shop: three agents, what they may do, and what they remember."""
