"""The table schemas of Camtrap DP as data."""
