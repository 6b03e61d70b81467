"""The whole way of the data on a synthetic world, in one call."""
