"""The same requests to the reference server and to ours, and what differs: `scripts/beside`."""
