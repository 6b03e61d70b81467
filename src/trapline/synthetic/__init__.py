"""A small synthetic camera-trap world, for trying Trapline without data."""
