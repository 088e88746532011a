"""Old places of some names; see `config` and `runnable`."""
