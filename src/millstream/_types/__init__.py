"""Parts of `millstream.types`: what other public modules need too, what is slow to import."""
