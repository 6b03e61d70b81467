"""One file a foreign format: into a catalog, out of predictions."""
