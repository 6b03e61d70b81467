"""Judging predictions against truth; figures and the HTML reports."""
