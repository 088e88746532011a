"""The core alone: no event loop, no thread, no driver. Read `builders` first."""
