"""Training networks and heads, the feature cache, tuning."""
